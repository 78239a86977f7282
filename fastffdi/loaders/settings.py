"""How a loader works: what may be tuned to a machine, as it changes no image (but jpeg_fancy_upsampling)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from fastffdi.data.limits import LIMITS, Limits
from fastffdi.data.patience import READ_SECONDS
from fastffdi.errors import SettingError, did_you_mean
from fastffdi.files import atomic
from fastffdi.recipe.document import read_document
from fastffdi.recipe.steps.base import shown
from fastffdi.world import World

GIB = 2**30

#: More decoding threads than this have stopped paying off before one accelerator is fed.
MOST_THREADS = 16

#: Settings that are told in words even where they are the default.
_ALWAYS = ("threads", "batch_size", "prefetch")


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """The number of decoding threads where none is asked for: the usable cores up to MOST_THREADS.

    The processes of a run that are on this machine share its cores.
    """
    return max(1, min(usable_cores() // World.here().local_size, MOST_THREADS))


@dataclass(frozen=True)
class LoaderSettings:
    """What a loader is given besides what to load.

    Attributes:
        threads: decoding threads; worker processes for torchvision
        batch_size: images per batch; in training it also changes what is learnt
        prefetch: batches rendered before they are asked for; dali at least one, torchvision its own number
        process: cpu: the threads run in a child process. None: where the model is on CUDA
        hw_decoder_load: dali on a GPU: share of the images for the hardware decoder, 0 to 1. None: DALI
            decides; with 0 the pixels do not depend on how images are batched
        memory_cap: GiB that images may take, decoded and rendered; where they are large, cpu makes fewer
            batches ahead, and dali decodes fewer at once. It is the host's memory, but for dali on a GPU the
            GPU's. None: half of what is free of it
        decoder_affinity: dali on a GPU: tie each decoding thread to a core
        jpeg_fancy_upsampling: dali on a GPU: interpolate a JPEG's colours as libjpeg-turbo does. False may be
            faster, but changes pixels slightly; then training and prediction both need it
        preallocate_width_hint: dali on a GPU: pixels, memory that the hardware decoder allocates at the start
            for each image of a batch; with the height. None: the largest of the images, where that is known
        preallocate_height_hint: the same
        max_megapixels: images with more pixels, in millions, are not decoded; the default is Pillow's limit
        read_timeout: seconds that one image may take to be read and rendered; then the loader gives up, as a
            disk or network mount may never answer. dali: to be looked at first; its own reads have no limit

    Raises SettingError for a value out of range, and for one of the two hints alone.
    """

    threads: int = field(default_factory=default_threads)
    batch_size: int = 64
    prefetch: int = 2
    process: bool | None = None
    hw_decoder_load: float | None = None
    memory_cap: float | None = None
    decoder_affinity: bool = False
    jpeg_fancy_upsampling: bool = True
    preallocate_width_hint: int | None = None
    preallocate_height_hint: int | None = None
    max_megapixels: float = LIMITS.pixels / 1e6
    read_timeout: float = READ_SECONDS

    def __post_init__(self) -> None:
        for name, value in self.to_data().items():
            valid, allowed = _ALLOWED[name]
            if not valid(value):
                raise SettingError(f"{name}: {shown(value)} is not {allowed}")
        if (self.preallocate_width_hint is None) != (self.preallocate_height_hint is None):
            raise SettingError("preallocate_width_hint, preallocate_height_hint: give both, or neither")

    @classmethod
    def merged(cls, file: Path | None = None, **options: Any) -> LoaderSettings:
        """Options that are not None, before those of a file, before defaults.

        Args:
            file: YAML as `bench-loader --tune` writes it
            options: fields of this class

        Raises SettingError for a file that cannot be read, unknown keys and values out of range.
        """
        given = {name: value for name, value in options.items() if value is not None}
        return cls(**{**({} if file is None else read_settings(file)), **given})

    @property
    def limits(self) -> Limits:
        """How large an image may be."""
        return Limits(round(self.max_megapixels * 1e6))

    def described(self) -> str:
        """The settings in words, `threads 2, batch size 64, prefetch 2`, and what is not the default."""
        told = [f.name for f in fields(self) if f.name in _ALWAYS or getattr(self, f.name) != f.default]
        return ", ".join(f"{name.replace('_', ' ')} {getattr(self, name)}" for name in told)

    def to_data(self) -> dict[str, Any]:
        """The settings that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def write_settings(path: Path, data: Mapping[str, Any], remarks: Iterable[str]) -> None:
    """Write settings to a file, whole or not at all, with `remarks` as comments on top."""
    head = [f"# {line}" for remark in remarks for line in remark.splitlines()]
    with atomic(path) as part:
        body = yaml.safe_dump(dict(data), sort_keys=False)
        part.write_text("\n".join([*head, body]), encoding="utf-8")


def read_settings(path: Path) -> dict[str, Any]:
    """The settings that a YAML file gives, by name; data only. Raises SettingError as `merged`."""
    data = _parsed(path)
    if not isinstance(data, Mapping):
        raise SettingError(f"{path}: {shown(data)} is not a mapping; write lines such as threads: 4")
    for key, value in data.items():
        if key not in _ALLOWED:
            raise SettingError(f"{path}: unknown key '{key}'{did_you_mean(str(key), _ALLOWED)}")
        valid, allowed = _ALLOWED[key]
        if not valid(value):
            raise SettingError(f"{path}: {key}: {shown(value)} is not {allowed}")
    return dict(data)


def _parsed(path: Path) -> Any:
    try:
        data = read_document(path)
    except FileNotFoundError:
        raise SettingError(f"{path}: no such file; `fastffdi bench-loader --tune FILE` writes one") from None
    except ValueError as error:
        reason, *below = error.args
        raise SettingError(f"{path}: {reason}", *below) from None
    return {} if data is None else data  # None: nothing but comments


def whole(least: int) -> tuple[Callable[[Any], bool], str]:
    """Whether a value is a whole number from `least` on, and that in words."""

    def valid(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    return valid, f"a whole number from {least} on"


def share(value: Any) -> bool:
    """Whether it is a number from 0 to 1."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def positive(value: Any) -> bool:
    """Whether it is a finite number above 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def is_flag(value: Any) -> bool:
    """Whether it is true or false."""
    return isinstance(value, bool)


#: Per key: whether a value is valid, and which ones are.
_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "threads": whole(1),
    "batch_size": whole(1),
    "prefetch": whole(0),
    "process": (is_flag, "true or false"),
    "hw_decoder_load": (share, "a number from 0 to 1"),
    "decoder_affinity": (is_flag, "true or false"),
    "jpeg_fancy_upsampling": (is_flag, "true or false"),
    "preallocate_width_hint": whole(1),
    "preallocate_height_hint": whole(1),
    "memory_cap": (positive, "a number of GiB above 0"),
    "max_megapixels": (positive, "a number of megapixels above 0"),
    "read_timeout": (positive, "a number of seconds above 0"),
}
