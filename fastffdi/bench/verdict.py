"""What limits a loader, and what to change: one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastffdi.bench.ceilings import COPY, DECODE, DECODER, READ, TRANSFER

#: Ratio to a ceiling from which on that is what limits.
_LIMITS = 0.5

#: Share of the cores' time below which a loader on the CPU is said to wait.
_BUSY = 0.6

#: Decoding at a reduced size pays where both sides are at least so many times the target's.
_LARGE = 2


@dataclass(frozen=True)
class Facts:
    """The measurements of the fastest loader for the recipe as it is given, and what could be changed.

    Attributes:
        device: "cpu" or "cuda"
        shares: ratio to each ceiling, by name
        busy: share of the cores' time that the loader uses; None where it is unknown
        image: height, width in pixels of the image of median area
        target: height, width the recipe makes of it
        scaled: whether the recipe has decode: {scaled: true}
        prefix: the recipe's deterministic first steps, by name
        others: loaders that were not measured, best first
    """

    loader: str
    cores: int
    device: str
    shares: Mapping[str, float]
    busy: float | None
    image: tuple[int, int]
    target: tuple[int, int]
    scaled: bool = False
    prefix: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def verdict(facts: Facts) -> str:
    """What limits, how near the loader is to that limit, and what would help."""
    # Decoding whole images is no bound for images that are decoded at a reduced size.
    shares = {name: share for name, share in facts.shares.items() if name != DECODE or not facts.scaled}
    nearest = max(shares, key=lambda name: shares[name], default=None)
    if facts.loader == "torchvision" and facts.others:
        return _sentence("Pillow and Python limit", facts, nearest, [f"--loader {facts.others[0]}"])
    if nearest is not None and shares[nearest] >= _LIMITS:
        what, _, cures = _CEILINGS[nearest]
        return _sentence(what, facts, nearest, cures(facts))
    if facts.device == "cpu" and facts.busy is not None and facts.busy < _BUSY:
        waits = (
            f"Waiting for files or other programs limits (the cores are busy {facts.busy:.0%} of the time)"
        )
        return _sentence(waits, facts, nearest, ["an idle machine", "a faster disk", *_caching(facts)])
    what = "Rendering the recipe limits" if DECODE in shares else "Decoding and rendering limit"
    return _sentence(what, facts, nearest, [*_caching(facts), "lighter steps", "more cores"])


def _sentence(what: str, facts: Facts, ceiling: str | None, cures: list[str]) -> str:
    on = f"on {facts.cores} core{'s' * (facts.cores != 1)}"
    near = f" reaches {facts.shares[ceiling]:.2f} of what {_CEILINGS[ceiling][1]} allows" if ceiling else ""
    *most, last = cures
    advice = f"{', '.join(most)} or {last}" if most else last
    return f"{what}: the {facts.loader} loader{near} {on}; {advice} would help."


def _decoding(facts: Facts) -> list[str]:
    on_gpu = facts.device == "cuda" and "dali" in facts.others
    dali = ["--loader dali, which decodes on the GPU"] if on_gpu else []
    return [*dali, *_scaling(facts), *_caching(facts), "more cores"]


def _scaling(facts: Facts) -> list[str]:
    (height, width), (high, wide) = facts.image, facts.target
    if facts.scaled or height < _LARGE * high or width < _LARGE * wide:
        return []
    size = f"{height * width / 1e6:.1f} MP, {height * width / (high * wide):.0f} times the target"
    return [f"decode: {{scaled: true}} in the recipe (images have {size})"]


def _caching(facts: Facts) -> list[str]:
    return [f"train --cache (which keeps what {', '.join(facts.prefix)} makes)"] if facts.prefix else []


#: For each ceiling: what limits where it is the nearest, what it is, and what would help.
_CEILINGS: dict[str, tuple[str, str, Callable[[Facts], list[str]]]] = {
    READ: ("Reading files limits", "reading alone", lambda f: [*_caching(f), "a faster disk"]),
    DECODE: ("JPEG decoding limits", "decoding alone", _decoding),
    COPY: ("Memory limits", "copying batches alone", lambda f: ["smaller images", "--amp bf16"]),
    DECODER: ("The GPU's decoder limits", "its decoder alone", lambda f: [*_caching(f), "--tune"]),
    TRANSFER: ("Copying to the GPU limits", "copying to it alone", lambda f: ["smaller images"]),
}
