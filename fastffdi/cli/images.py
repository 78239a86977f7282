"""The images that `predict` is given, in whichever way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fastffdi.cli.labelled import images_of
from fastffdi.errors import SettingError

if TYPE_CHECKING:
    from fastffdi.data.manifest import Manifest
    from fastffdi.model.processes import Processes


def images_named(
    inputs: tuple[str, ...],
    data: Path | None,
    labels: Path | None,
    images: Path | None,
    say: Callable[[str], None],
    follow_symlinks: bool,
    processes: Processes | None = None,
) -> Manifest:
    """The images of FOLDER, FILEs, --data or --labels; `processes` where several share the run."""
    from fastffdi.data import layout, named

    if (data is not None) + (labels is not None) + bool(inputs) != 1:
        raise SettingError(
            "predict: name the images in one way: a FOLDER, FILEs, --data DIR or --labels FILE"
        )
    if images is not None and labels is None:
        raise SettingError("--images: belongs to --labels FILE; give both")
    if data is not None or labels is not None:
        return images_of(data, labels, images, "optional", say, follow_symlinks)
    if len(inputs) == 1 and Path(inputs[0]).is_dir() and inputs[0] != named.LIST:
        return layout.plain_folder(Path(inputs[0]), say, follow_symlinks)
    if inputs.count(named.LIST) > 1:
        raise SettingError("predict: - stands for the list on standard input, which is there once")
    return named.image_files(inputs, say, follow_symlinks, patterns=True, listed=lambda: _listed(processes))


def _listed(processes: Processes | None) -> list[str]:
    """The names on standard input, which process 0 alone reads."""
    from fastffdi.data.named import read_list

    if processes is None:
        return read_list(sys.stdin.buffer.read())
    return processes.first(lambda: read_list(sys.stdin.buffer.read()))
