"""Findings about files by themselves: those that cannot be used, and those that are not what they seem."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import numpy as np

from fastffdi.audit.facts import FORMATS, MODES, PROBLEMS
from fastffdi.audit.findings import Finding, are, images
from fastffdi.audit.survey import Survey
from fastffdi.escapes import escaped

_CURES = {
    "missing": "add them or delete their lines",
    "empty": "copy them again, or delete their lines",
    "unreadable": "see to their permissions and to the disk, or delete their lines",
    "not an image": "replace them, or delete their lines",
    "oversized": "scale them down, or delete their lines",
    "truncated": "copy them again, or delete their lines",
    "undecodable": "replace them, or delete their lines",
}
_WORDS = {"empty": "empty, of zero bytes", "missing": "missing: listed, but not there"}
_ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "WebP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "AVIF": (".avif",),
}


def faults(split: Survey, what: str, start: int) -> Iterator[Finding]:
    """Findings of the `what` split ("training"), whose first row has the number `start`."""
    for code in range(1, len(PROBLEMS)):
        yield from _unusable(split, what, start, code)
    total = max(len(split.facts), 1)
    facts, usable = split.facts, split.usable
    for code in range(1, len(MODES)):
        yield from _note(
            f"mode-{MODES[code].replace(' ', '-')}",
            np.flatnonzero(usable & (facts["mode"] == code)) + start,
            f"not RGB but {_MODE_WORDS[MODES[code]]}",
            "they are converted when they are decoded; that is all right where both classes have such",
            what,
            total,
        )
    wrong = _wrong_extensions(split)
    named = Counter(
        f"{FORMATS[facts['format'][row]]} named {escaped(_ending(split, row)) or 'without an extension'}"
        for row in wrong
    )
    often = ", ".join(f"{count:,} {words}" for words, count in named.most_common(3))
    yield from _note(
        "wrong-extension",
        wrong + start,
        f"named unlike their content ({often})",
        "rename them: they are read by content here, but not by every program",
        what,
        total,
    )
    animated = np.flatnonzero(usable & facts["animated"]) + start
    cure = "only their first frame is used; take the frames that you mean apart"
    yield from _note("animated", animated, "animated", cure, what, total)
    turned = np.flatnonzero(usable & (facts["orientation"] > 1)) + start
    cure = "they are turned upright when they are decoded; other programs may not do so"
    yield from _note("exif-turned", turned, "turned by EXIF", cure, what, total)


_MODE_WORDS = {
    "grey": "grey",
    "CMYK": "CMYK",
    "alpha": "with alpha, which is dropped",
    "palette": "of palette colours",
    "16 bit": "of 16 bits, scaled down to 8",
}


def _unusable(split: Survey, what: str, start: int, code: int) -> Iterator[Finding]:
    rows = np.flatnonzero(split.facts["problem"] == code)
    if len(rows):
        name = PROBLEMS[code]
        words = _WORDS.get(name, name)
        if len(rows) > 1 and name == "not an image":
            words = "no images"
        text = f"{images(len(rows), what)} {are(len(rows))} {words}"
        weight = 1 + len(rows) / len(split.facts)
        yield Finding(name.replace(" ", "-"), "error", text, _CURES[name], rows + start, weight=weight)


def _note(kind: str, rows: np.ndarray, words: str, cure: str, what: str, total: int) -> Iterator[Finding]:
    if len(rows):
        text = f"{images(len(rows), what)} {are(len(rows))} {words}"
        yield Finding(kind, "note", text, cure, rows, weight=len(rows) / total)


def _wrong_extensions(split: Survey) -> np.ndarray:
    rows = np.flatnonzero(split.usable)
    formats = split.facts["format"][rows].tolist()
    wrong = [
        row
        for row, format in zip(rows.tolist(), formats, strict=True)
        if _ending(split, row) not in _ENDINGS[FORMATS[format]]
    ]
    return np.array(wrong, np.int64)


def _ending(split: Survey, row: int) -> str:
    return os.path.splitext(split.manifest.file_names[row])[1].lower()
