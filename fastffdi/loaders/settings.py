"""How a loader works: what may be tuned to a machine, since it changes no image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from fastffdi.errors import SettingError, did_you_mean
from fastffdi.files import atomic
from fastffdi.recipe.steps.base import shown


@dataclass(frozen=True)
class LoaderSettings:
    """What `choose.build` is told besides the feed.

    threads          decoding threads; worker processes for torchvision
    prefetch         batches made before they are asked for; torchvision keeps its own number
    process          cpu: the threads live in a process of their own. None: where the model is on CUDA
    hw_decoder_load  dali on a GPU: share of images for the hardware decoder, 0 to 1. None: DALI decides;
                     with 0 the images do not depend on how they are batched
    """

    threads: int
    prefetch: int = 2
    process: bool | None = None
    hw_decoder_load: float | None = None


@dataclass(frozen=True)
class Tuned:
    """What a file of loader settings says; None where it says nothing.

    `batch_size` is images per batch, the others are as in LoaderSettings. An option on the command line
    wins over the file, the file over defaults.
    """

    threads: int | None = None
    prefetch: int | None = None
    batch_size: int | None = None
    hw_decoder_load: float | None = None

    def settings(self, threads: int, process: bool | None = None) -> LoaderSettings:
        """How a loader with `threads` works; with defaults for what the file does not say."""
        prefetch = LoaderSettings.prefetch if self.prefetch is None else self.prefetch
        return LoaderSettings(threads, prefetch, process, self.hw_decoder_load)

    def to_data(self) -> dict[str, int | float]:
        """What the file says, by key."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def write(self, path: Path, remarks: Iterable[str]) -> None:
        """Write the file, whole or not at all, below remarks: lines of text that say where it comes from."""
        head = [f"# {line}" for remark in remarks for line in remark.splitlines()]
        with atomic(path) as part:
            body = yaml.safe_dump(self.to_data(), sort_keys=False)
            part.write_text("\n".join([*head, body]), encoding="utf-8")


#: No file: every setting is its default.
UNTUNED = Tuned()


def read_settings(path: Path) -> Tuned:
    """The settings of a YAML file as `fastffdi tune` writes it; data only.

    Raises SettingError for a file that cannot be read, keys that are unknown and values out of range.
    """
    data = _parsed(path)
    if not isinstance(data, Mapping):
        raise SettingError(f"{path}: {shown(data)} is no mapping; write lines such as threads: 4")
    for key, value in data.items():
        if key not in _ALLOWED:
            raise SettingError(f"{path}: unknown key '{key}'{did_you_mean(str(key), _ALLOWED)}")
        right, allowed = _ALLOWED[key]
        if not right(value):
            raise SettingError(f"{path}: {key}: {shown(value)} is not {allowed}")
    return Tuned(**data)


def _parsed(path: Path) -> Any:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(f"{path}: no such file; `fastffdi tune -o FILE` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: cannot be read as text ({error})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the last two: odd dates, deep nesting
        raise SettingError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    return {} if data is None else data  # None: nothing but remarks


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


#: Per key: whether a value is right, and which ones are.
_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("threads", "prefetch", "batch_size"), (_whole, "a whole number from 1 on")),
    "hw_decoder_load": (_share, "a number from 0 to 1"),
}
