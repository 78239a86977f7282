"""Whether a run goes on with what its folder holds, and with which state of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastffdi.errors import SettingError, differences
from fastffdi.model.checkpoint import versions
from fastffdi.training import state
from fastffdi.training.folder import BEST, refuse_old_run
from fastffdi.training.history import History
from fastffdi.training.settings import AUTO, Settings
from fastffdi.training.state import State


def find(settings: Settings, identity: dict[str, Any], say: Callable[[str], None]) -> State | None:
    """The state to go on from; None where the run is a new one.

    `say` gets a line about states that are damaged, and versions that have changed since. Raises SettingError
    where there is nothing to go on from although it was asked for, where the run in the folder is another one
    than `identity` says, and where a new run would lose an old one.
    """
    folder = settings.output
    found = state.newest(folder, say) if settings.resume and folder.is_dir() else None
    if found is None:
        if settings.resume not in (None, AUTO):
            raise SettingError(
                f"--resume: {folder} holds no state to go on from; name the folder of a run with --output, "
                "or leave out --resume"
            )
        refuse_old_run(folder, settings.overwrite)
        return None
    _check(found, settings, identity)
    changed = differences(found.versions, versions())
    if changed and not found.finished:
        say(f"begun with {', '.join(changed)}: results may differ in their last digits")
    return found


def _check(found: State, settings: Settings, identity: dict[str, Any]) -> None:
    folder, others = settings.output, differences(found.identity, identity)
    if others:
        raise SettingError(
            f"--resume: the run in {folder} is another one: {'; '.join(others)}; repeat its options, or name "
            "another folder"
        )
    history = History()
    found.restore({"history": history})
    if history.best is not None and not (folder / BEST).is_file():
        raise SettingError(
            f"--resume: {folder / BEST} is missing, the model of epoch {history.best.epoch + 1}; put it "
            "back, or begin again with --overwrite"
        )
