import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fastffdi.data import retry
from fastffdi.data.headers import image_size
from fastffdi.data.refusal import checked_header
from fastffdi.data.retry import WAITS, retried
from fastffdi.data.source import FILES
from fastffdi.errors import UndecodableImage


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, which take no time."""
    waits: list[float] = []
    monkeypatch.setattr(retry, "sleep", waits.append)
    return waits


@pytest.fixture
def photo(tmp_path: Path) -> str:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg")
    return str(tmp_path / "a.jpg")


class Failing:
    """Fails so many times with an error of that number, then gives 7."""

    def __init__(self, times: int, number: int) -> None:
        self.calls, self._times, self._number = 0, times, number

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._times:
            raise OSError(self._number, os.strerror(self._number))
        return 7


def test_a_read_that_succeeds_waits_for_nothing(waits: list[float]) -> None:
    assert retried("a.jpg", lambda: 7) == 7
    assert waits == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.EREMOTEIO])
@pytest.mark.parametrize("times", [1, 3])
def test_an_error_that_passes_costs_the_waits_before_it_has(
    number: int, times: int, waits: list[float]
) -> None:
    assert retried("a.jpg", Failing(times, number)) == 7
    assert waits == list(WAITS[:times])


def test_one_that_stays_is_an_image_that_cannot_be_decoded(waits: list[float]) -> None:
    read = Failing(99, errno.ESTALE)
    with pytest.raises(UndecodableImage) as caught:
        retried("a.jpg", read)
    assert (caught.value.path, caught.value.reason) == ("a.jpg", "Stale file handle, 4 times")
    assert (read.calls, waits) == (4, [0.1, 0.4, 1.6])


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EISDIR])
def test_an_error_that_will_not_pass_is_raised_at_once(number: int, waits: list[float]) -> None:
    with pytest.raises(OSError, match=os.strerror(number)):
        retried("a.jpg", Failing(1, number))
    assert waits == []


@pytest.mark.parametrize("ask", [FILES.read, FILES.identity, image_size, checked_header])
@pytest.mark.parametrize("place", ["open", "read", "stat"])
def test_all_that_read_files_try_again(
    ask: Callable[[str], object],
    place: str,
    photo: str,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = ask(photo)
    fails = Failing(2, errno.EIO)

    class Unreliable(io.FileIO):
        def readinto(self, buffer: object) -> int:
            fails()
            return super().readinto(buffer)  # type: ignore[arg-type]

        def readall(self) -> bytes:
            fails()
            return super().readall()

    def opened(path: str, mode: str, buffering: int = -1) -> object:
        if place == "open":
            fails()
        file = Unreliable(path, mode) if place == "read" else io.FileIO(path, mode)
        return file if buffering == 0 else io.BufferedReader(file)

    def stated(path: str, real: Callable[[str], os.stat_result] = os.stat) -> os.stat_result:
        if place == "stat":
            fails()
        return real(path)

    monkeypatch.setattr(builtins, "open", opened)
    monkeypatch.setattr(os, "stat", stated)
    found = ask(photo)
    monkeypatch.undo()
    assert found == expected
    assert waits == ([0.1, 0.4] if fails.calls else [])
