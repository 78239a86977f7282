import numpy as np
import pytest
from planted import clean

from fastffdi.audit import survey as module
from fastffdi.audit.memory import Memory
from fastffdi.audit.survey import survey


@pytest.fixture
def split(planted):
    return planted(clean()).train


@pytest.fixture
def inspected(monkeypatch):
    """The paths that were read, in any order."""
    paths, inspect = [], module.inspect

    def spy(path, size_bytes, full):
        paths.append(path)
        return inspect(path, size_bytes, full)

    monkeypatch.setattr(module, "inspect", spy)
    return paths


@pytest.mark.parametrize("full", [True, False])
def test_a_second_look_reads_nothing_and_knows_the_same(split, inspected, full):
    first = survey(split, 2, full)
    inspected.clear()
    second = survey(split, 2, full)
    assert inspected == []
    assert (first.facts == second.facts).all()


def test_what_was_decoded_once_counts_for_a_quick_look_but_not_the_other_way(split, inspected):
    survey(split, 1, False)
    survey(split, 1, True)
    assert len(inspected) == 2 * len(split)
    assert survey(split, 1, False).facts["full"].all()
    assert len(inspected) == 2 * len(split)


def test_a_file_that_changed_is_read_again(split, inspected):
    survey(split, 1, True)
    inspected.clear()
    changed = split.paths()[3]
    with open(changed, "ab") as file:
        file.write(b"more")
    survey(split, 1, True)
    assert inspected == [changed]


def test_a_faulty_file_is_read_each_time_so_that_its_reason_is_known(split, inspected):
    broken = split.paths()[2]
    with open(broken, "wb") as file:
        file.write(b"no image")
    assert survey(split, 1, True).reasons.keys() == {2}
    inspected.clear()
    assert survey(split, 1, True).reasons.keys() == {2}
    assert inspected == [broken]


@pytest.mark.parametrize("damage", ["torn", "foreign", "other columns", "impossible", "pickled"])
def test_a_file_that_cannot_be_trusted_is_ignored(split, inspected, damage):
    survey(split, 1, True)
    file = Memory.of(split.root).file
    table = Memory.of(split.root).table
    if damage == "torn":
        file.write_bytes(file.read_bytes()[:-200])
    elif damage == "foreign":
        file.write_bytes(b"something else")
    elif damage == "other columns":
        np.savez(file, table=np.zeros(3))
    elif damage == "pickled":
        np.savez(file, table=np.array([{}], object))
    else:
        table["facts"]["format"] = 99
        np.savez(file, table=table)
    inspected.clear()
    assert survey(split, 1, True).usable.all()
    assert len(inspected) == len(split)
    assert len(Memory.of(split.root).table) == len(split)


def test_a_cache_folder_that_cannot_be_written_costs_nothing_but_time(split, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "file"))
    assert survey(split, 1, True).usable.all()
