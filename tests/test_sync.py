"""nothing_waits, where there is no GPU."""

import warnings

import pytest
import torch
from sync import nothing_waits

#: What torch warns of at the first call.
PROTOTYPE = (
    "Synchronization debug mode is a prototype feature and does not yet detect all synchronizing operations"
)


class Mode:
    """Stands in for torch's mode of debugging: `warning` is given after every setting, as torch does."""

    def __init__(self, warning: str) -> None:
        self.set: list[int | str] = [1]
        self.warning = warning

    def get_sync_debug_mode(self) -> int | str:
        return self.set[-1]

    def set_sync_debug_mode(self, mode: int | str) -> None:
        self.set.append(mode)
        warnings.warn(self.warning, UserWarning, stacklevel=1)


@pytest.fixture
def mode(monkeypatch: pytest.MonkeyPatch) -> Mode:
    fake = Mode(PROTOTYPE)
    for name in ("get_sync_debug_mode", "set_sync_debug_mode"):
        monkeypatch.setattr(torch.cuda, name, getattr(fake, name))
    return fake


def test_waiting_is_an_error_inside_and_what_it_was_before_afterwards(mode: Mode) -> None:
    with nothing_waits():
        assert mode.set == [1, "error"]
    assert mode.set == [1, "error", 1]


def test_the_mode_is_restored_after_an_exception(mode: Mode) -> None:
    with pytest.raises(RuntimeError, match=r"^waits$"), nothing_waits():
        raise RuntimeError("waits")
    assert mode.set == [1, "error", 1]


def test_a_warning_inside_is_not_ignored(mode: Mode) -> None:
    with pytest.raises(UserWarning, match=PROTOTYPE), nothing_waits():
        warnings.warn(PROTOTYPE, UserWarning, stacklevel=1)
    assert mode.set == [1, "error", 1]


def test_another_warning_of_the_setter_is_not_ignored_and_the_mode_is_restored(mode: Mode) -> None:
    mode.warning = "CUDA is old"
    with pytest.raises(UserWarning, match=r"^CUDA is old$"), nothing_waits():
        pass
    assert mode.set == [1, "error", 1]
