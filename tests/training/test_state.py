"""A state is what was saved, or says that it is not."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from fastffdi.errors import SettingError
from fastffdi.model.checkpoint import write_tensors
from fastffdi.training import state
from fastffdi.training.state import Damaged, State

IDENTITY = {"--lr": 0.1, "--weights": None}


class Counter:
    """The smallest part: a number and a tensor."""

    def __init__(self, count: int) -> None:
        self.count, self.sums = count, torch.full((3,), float(count))

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "sums": self.sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        self.sums = state["sums"]


def parts(count: int) -> dict[str, Any]:
    torch.manual_seed(count)
    return {"model": nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last), "counter": Counter(count)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    State.of(parts(5), 5, IDENTITY).save(tmp_path)
    return tmp_path / "state-5.safetensors"


def test_what_was_saved_is_read_back(file: Path) -> None:
    found = State.read(file)
    assert (found.updates, found.identity, found.finished) == (5, IDENTITY, False)
    assert found.versions["torch"]
    restored, saved = parts(6), parts(5)
    found.restore(restored)
    assert restored["counter"].count == 5
    assert torch.equal(restored["counter"].sums, saved["counter"].sums)
    assert torch.equal(restored["model"].weight, saved["model"].weight)
    assert restored["model"].weight.is_contiguous(memory_format=torch.channels_last)


def test_it_is_that_of_the_moment(tmp_path: Path) -> None:
    changing = parts(5)
    taken = State.of(changing, 5, IDENTITY)
    changing["counter"].sums.fill_(99)
    taken.restore(changing)
    assert torch.equal(changing["counter"].sums, torch.full((3,), 5.0))


def test_the_weights_of_a_part_have_the_models_own_names() -> None:
    model = parts(5)["model"]
    tensors = State.of({"model": model}, 0, {}).weights("model").tensors
    assert tensors.keys() == model.state_dict().keys()
    assert torch.equal(tensors["weight"], model.weight)


def test_a_part_that_it_does_not_know_stays_as_it_is(file: Path) -> None:
    more = {"ema": Counter(1)}
    State.read(file).restore(more)
    assert more["ema"].count == 1


def test_parts_that_do_not_fit_name_the_versions(file: Path) -> None:
    with pytest.raises(
        SettingError, match=r"^--resume: the state's model does not fit this version \(.*torch "
    ):
        State.read(file).restore({"model": nn.Linear(1, 1)})


def test_the_last_two_are_kept_by_number(tmp_path: Path) -> None:
    for updates in (8, 9, 10, 100):
        State.of({}, updates, {}).save(tmp_path)
    (tmp_path / "state-mine.safetensors").touch()
    assert [path.name for path in state.files(tmp_path)] == ["state-10.safetensors", "state-100.safetensors"]


def test_of_a_finished_run_the_last_alone_is_kept(tmp_path: Path) -> None:
    for updates in (8, 9):
        State.of(parts(1), updates, {}).save(tmp_path)
    whole = {"history": Counter(2), **parts(1)}
    whole["history"].sums = None
    State.of(whole, 10, {}).as_finished().save(tmp_path)
    (left,) = state.files(tmp_path)
    found = State.read(left)
    assert (found.finished, found.tensors, found.parts.keys()) == (True, {}, {"history"})
    assert state.is_finished(left)


def test_states_after_the_one_that_is_gone_on_from_can_be_discarded(tmp_path: Path) -> None:
    for updates in (8, 9):
        State.of({}, updates, {}).save(tmp_path)
    state.discard_after(tmp_path, 8)
    assert [path.stem for path in state.files(tmp_path)] == ["state-8"]


# Damage.


@trying(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_that_has_changed_anywhere_is_noticed(tmp_path_factory, place: float, bit: int) -> None:
    folder = tmp_path_factory.mktemp("state")
    State.of(parts(5), 5, IDENTITY).save(folder)
    (file,) = state.files(folder)
    data = bytearray(file.read_bytes())
    at = int(place * len(data))
    data[at] ^= 1 << bit
    file.write_bytes(data)
    with pytest.raises(Damaged):
        State.read(file)


@trying(max_examples=30, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_short_is_noticed(tmp_path_factory, share: float) -> None:
    folder = tmp_path_factory.mktemp("state")
    State.of(parts(5), 5, IDENTITY).save(folder)
    (file,) = state.files(folder)
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(Damaged):
        State.read(file)


def test_other_files_are_no_states(tmp_path: Path) -> None:
    other = tmp_path / "state-1.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(Damaged, match="is cut short or damaged"):
        State.read(other)
    assert not state.is_finished(other)


@pytest.mark.parametrize("document", ["[]", "{}", '{"format": 2}', '{"format": 2, "more": 2}', "no JSON"])
def test_a_document_that_is_none_is_noticed_whatever_its_checksum(tmp_path: Path, document: str) -> None:
    metadata = {state.HEADER: document, state.CHECKSUM: state._checksum(document, {})}
    write_tensors(tmp_path / "state-1.safetensors", {}, metadata)
    with pytest.raises(Damaged, match=r"^is no state"):
        State.read(tmp_path / "state-1.safetensors")


def test_nothing_in_it_is_a_pickle(file: Path) -> None:
    with safe_open(file, "numpy") as opened:
        metadata = opened.metadata()
    assert metadata.keys() == {"fastffdi.state", "sha256"}
    assert json.loads(metadata["fastffdi.state"]).keys() == {
        "format",
        "updates",
        "finished",
        "identity",
        "versions",
        "parts",
    }


def test_the_newest_that_is_whole_is_taken_and_others_are_told(tmp_path: Path) -> None:
    for updates in (8, 9):
        State.of({}, updates, {}).save(tmp_path)
    (tmp_path / "state-9.safetensors").write_bytes(b"")
    said: list[str] = []
    found = state.newest(tmp_path, said.append)
    assert found is not None
    assert found.updates == 8
    assert len(said) == 1
    assert state.newest(tmp_path / "absent", said.append) is None
