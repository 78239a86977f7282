"""Where a report comes from: files with their hashes, what the models say of themselves, the command."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastffdi.errors import RunError
from fastffdi.model.checkpoint import Checkpoint

_AT_ONCE_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """A file that the figures rest on."""

    what: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """All that is needed to make a report again.

    Attributes:
        command: one line for a shell
        made: when, as the reader is told
        sources: the files
        settings: name → value, as plain data
        versions: of Python and of the packages
        models: what each checkpoint says of itself, by its name
    """

    command: str
    made: str
    sources: Sequence[Source]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    models: Mapping[str, Checkpoint]


def source(what: str, path: Path) -> Source:
    """A file and its SHA-256. Raises RunError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(_AT_ONCE_BYTES):
                digest.update(part)
    except OSError as error:
        raise RunError(f"{path}: cannot be read for its SHA-256 ({error.strerror})") from None
    return Source(what, str(path), digest.hexdigest())


def described(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    """What a checkpoint says of itself, as words."""
    height, width = checkpoint.size
    return [
        ("backbone", checkpoint.backbone),
        ("image size", f"{height} × {width} pixels"),
        ("mean, std of RGB", f"{_numbers(checkpoint.mean)}; {_numbers(checkpoint.std)}"),
        ("epoch, seed", f"{checkpoint.epoch + 1}, {checkpoint.seed}"),
        ("weights it began from had seen", checkpoint.weights_data),
        ("trained with", ", ".join(f"{name} {version}" for name, version in checkpoint.versions.items())),
    ]


def preprocessing(checkpoint: Checkpoint) -> list[str]:
    """The lines of its recipe's evaluation part, as YAML."""
    import yaml

    return yaml.safe_dump(
        {"eval": checkpoint.recipe.get("eval")}, sort_keys=False, default_flow_style=None
    ).splitlines()


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
