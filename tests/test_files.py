import contextlib
import errno
import io
import os
import pickle
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastffdi.files import DiskFull, append, atomic, cache_folder, discard_parts


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
        assert part.parent.parent == tmp_path
        (part.parent / "scratch").touch()
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
    with pytest.raises(OSError, match="the disk is full"), atomic(target) as part:
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
        folders = [part.parent for part in (one, other)]
        assert all(folder.name.startswith(".a.txt.") and folder.suffix == ".part" for folder in folders)
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


# A full disk.


def out_of_room(*given: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def full_after(target: Path, data: bytes) -> None:
    with atomic(target) as part:
        part.write_bytes(data)
        out_of_room()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_the_room_that_is_needed(tmp_path: Path, code: int) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(DiskFull) as caught, atomic(target, needed_bytes=3 * 2**20 + 1):
        raise OSError(code, os.strerror(code))
    assert str(caught.value) == (
        f"{target}: the disk is full; 4 MiB are needed; free some room or give another folder"
    )
    assert (caught.value.exit_code, caught.value.errno) == (1, errno.ENOSPC)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_room_that_is_needed_is_at_least_what_was_written_and_what_was_there(tmp_path: Path) -> None:
    for old, written, mib in ((0, 5, 5), (7, 5, 7), (0, 0, 1)):
        (tmp_path / "a").write_bytes(bytes(old * 2**20))
        with pytest.raises(DiskFull, match=f"; {mib} MiB are needed"):
            full_after(tmp_path / "a", bytes(written * 2**20))


def test_no_room_even_for_the_name_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastffdi.files.tempfile.mkdtemp", lambda **given: out_of_room())
    with pytest.raises(DiskFull), atomic(tmp_path / "a"):
        pass


def test_a_full_disk_is_an_error_of_the_system_too_and_survives_a_pickle(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the disk is full") as caught, atomic(tmp_path / "a"):
        out_of_room()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy)) == (DiskFull, str(caught.value))


def test_another_error_of_the_system_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_what_is_appended_stands_at_the_end(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        append(tmp_path / "log", line)
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_of_what_cannot_be_appended_whole_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Filling(io.FileIO):
        """A file with room for three more bytes."""

        def write(self, data: object) -> int:
            if len(data) < 8:  # type: ignore[arg-type]
                out_of_room()
            return super().write(memoryview(data)[:3])  # type: ignore[arg-type]

    log = tmp_path / "log"
    log.write_bytes(b"one\n")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda self, mode, buffering: Filling(self, "ab"))
        with pytest.raises(DiskFull, match=f"^{log}: the disk is full; 1 MiB are needed"):
            append(log, b"0123456789")
    assert log.read_bytes() == b"one\n"


def test_parts_that_are_being_written_can_be_discarded(tmp_path: Path) -> None:
    (tmp_path / ".b.txt.0123.part").mkdir()  # of another process
    with contextlib.suppress(FileNotFoundError), atomic(tmp_path / "a.txt") as part:
        part.write_text("half")
        discard_parts()
        assert os.listdir(tmp_path) == [".b.txt.0123.part"]
    assert os.listdir(tmp_path) == [".b.txt.0123.part"]


def test_parts_that_ended_processes_left_can_be_discarded(tmp_path: Path) -> None:
    for name in (".state-1.safetensors.xyz.part", ".b.txt.xyz.part", "state-1.safetensors", "mine.part"):
        (tmp_path / name).mkdir()
    (tmp_path / ".state-1.safetensors.xyz.part" / "state-1.safetensors").touch()
    discard_parts(tmp_path, "state-*")
    assert sorted(os.listdir(tmp_path)) == [".b.txt.xyz.part", "mine.part", "state-1.safetensors"]
