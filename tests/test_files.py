import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastffdi.files import atomic, cache_folder


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


def fail_halfway(target: Path, failure: type[BaseException]) -> None:
    with atomic(target) as part:
        part.write_text("half")
        raise failure


def test_the_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic(target) as part:
        part.write_text("new")
        assert not target.exists()
        assert part.parent == tmp_path
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_it_is_on_the_disk_before_it_is_renamed_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, done = tmp_path / "a.txt", []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append(("sync", os.fstat(handle).st_ino, target.exists()))
        fsync(handle)

    def replaced(part: Path, to: Path) -> Path:
        done.append(("replace", part.stat().st_ino, part.read_text()))
        return replace(part, to)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    with atomic(target) as part:
        part.write_text("new")
    file, folder = target.stat().st_ino, tmp_path.stat().st_ino
    assert done == [("sync", file, False), ("replace", file, "new"), ("sync", folder, True)]


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_failure_at_any_step_leaves_the_old_file_and_no_part(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "a.txt"
    target.write_text("old")
    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(OSError, match="No space left"), atomic(target) as part:
        part.write_text("new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with atomic(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert os.listdir("/proc/self/fd") == before


def test_parts_are_hidden_and_of_two_writers_each_has_its_own(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic(target) as one, atomic(target) as other:
        assert one != other
        assert all(part.name.startswith(".a.txt.") and part.suffix == ".part" for part in (one, other))
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"  # the last to end
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_part(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(failure):
        fail_halfway(target, failure)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.usefixtures("umask")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    with atomic(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.usefixtures("umask")
def test_the_umask_itself_is_left_alone(tmp_path: Path) -> None:
    with atomic(tmp_path / "a.txt"):
        pass
    assert os.umask(0o027) == 0o027


def test_a_folder_that_is_absent_is_an_error_of_the_file_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "absent" / "a.txt"):
        pass


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"FASTFFDI_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"FASTFFDI_CACHE": "", "XDG_CACHE_HOME": "/x"}, "/x/fastffdi"),
        ({"FASTFFDI_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/fastffdi"),
    ],
)
def test_the_cache_folder(variables: dict, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)
