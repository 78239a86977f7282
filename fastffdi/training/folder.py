"""The folder of a run: what is in it, and when it may be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastffdi.errors import DataError, RunError, SettingError
from fastffdi.files import DiskFull, discard_parts
from fastffdi.loaders import quarantine
from fastffdi.training import state

BEST, LAST, TABLE = "best.safetensors", "last.safetensors", "metrics.csv"
CONFIG = "config.yaml"

#: The validation scores of the best epoch.
SCORES = "val_scores.csv"

#: The scores of the images that were held out, by the model of the best epoch.
HELD_OUT = "holdout_scores.csv"

#: Pictures: the first batch, the epochs' figures, the worst mistakes; and all of a run in figures.
BATCH, CURVES, MISTAKES, SUMMARY = "train_batch.png", "curves.png", "mistakes.png", "summary.json"

#: The batch whose loss was no number.
BROKEN, BROKEN_SHEET = "nonfinite.csv", "nonfinite.png"

#: What a run writes, but for its states and events.
_FILES = (
    CONFIG,
    TABLE,
    quarantine.TABLE,
    BEST,
    LAST,
    SCORES,
    HELD_OUT,
    BATCH,
    CURVES,
    MISTAKES,
    SUMMARY,
    BROKEN,
    BROKEN_SHEET,
)

#: TensorBoard's own names.
EVENTS = "events.out.tfevents.*"


def refuse_old_run(folder: Path, overwrite: bool) -> None:
    """Raise SettingError where a new run would lose an old one, or the folder is none."""
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"--output {folder}: is a file; name a folder")
    if overwrite:
        return
    states = state.files(folder)
    if states and not state.is_finished(states[-1]):
        raise SettingError(
            f"--output {folder}: holds a run that was interrupted; go on with it by --resume, name another "
            "folder, or add --overwrite"
        )
    if states or any((folder / name).exists() for name in (TABLE, BEST, LAST)):
        raise SettingError(f"--output {folder}: already holds a run; name another folder, or add --overwrite")


def make(folder: Path) -> None:
    """Make the folder of a new run, without anything of an older one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--output {folder}: cannot be made ({error.strerror})") from None
    clear(folder, (*_FILES, EVENTS, *(path.name for path in state.files(folder))))


def clear(folder: Path, names: tuple[str, ...] = ()) -> None:
    """Delete files by name or glob pattern, and what a process that was killed had begun to write."""
    for name in names:
        for path in folder.glob(name):
            with suppress(FileNotFoundError):
                path.unlink()
    for name in (*_FILES, "state-*"):
        discard_parts(folder, name)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an error of the system into a RunError that names the folder; DiskFull says more."""
    try:
        yield
    except DiskFull:
        raise
    except OSError as error:
        raise RunError(
            f"--output {folder}: cannot be written to ({error.strerror or error}); make it writable, and go "
            "on with --resume"
        ) from error
