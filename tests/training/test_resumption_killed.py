"""A process that ends without being asked, and states that are damaged: the run ends as it would have."""

import os
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import killed
import pytest
from experiments import prepared, refused
from killed import Kill, Runs
from outcomes import STEPS, Outcome, dropping, resumed, run, variants

from fastffdi.data.layout import Dataset
from fastffdi.training import state
from fastffdi.training.folder import TABLE
from fastffdi.training.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")


def test_what_a_killed_process_wrote_after_its_last_state_is_made_again(tiny, dataset, tmp_path, whole):
    settings = variants(tiny, tmp_path)["cpu"]
    run(settings, dataset, STEPS + 2)
    (older, newer) = state.files(settings.output)
    newer.unlink()  # as if it had not come to it
    with (settings.output / TABLE).open("a") as file:
        file.write("2,torn")
    (settings.output / ".last.safetensors.abc.part").mkdir()
    (settings.output / ".state-9.safetensors.abc.part").mkdir()
    (settings.output / "state-99.safetensors").write_bytes(b"torn")
    whole("cpu").check(resumed(replace(settings, resume="must"), dataset))
    assert [name for name in os.listdir(settings.output) if name.startswith(".")] == []
    assert len(state.files(settings.output)) == 1
    assert older.name == "state-5.safetensors"


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "header"])
def test_a_damaged_state_is_told_and_the_one_before_is_used(tiny, dataset, tmp_path, whole, damage):
    settings = variants(tiny, tmp_path)["cpu"]
    run(settings, dataset, STEPS + 2)
    _, newer = state.files(settings.output)
    data = bytearray(newer.read_bytes())
    if damage == "flip":
        data[-1000] ^= 4
    elif damage == "header":
        data[data.index(b"highest_rate") + 3] ^= 1
    newer.write_bytes({"truncate": data[:-5000], "empty": b""}.get(damage, data))
    said = []
    with prepared(replace(settings, resume="must"), dataset, said.append):
        pass
    assert said[0].startswith(f"{newer}: is ")
    assert "damaged" in said[0]
    assert said[0].endswith("; going on from the state before")
    assert said[-1] == f"{settings.output}: going on at the beginning of epoch 2, of 3 epochs"
    whole("cpu").check(resumed(replace(settings, resume="must"), dataset))


def test_a_state_of_another_format_is_told_and_the_one_before_is_used(settings, dataset, monkeypatch):
    run(settings, dataset, STEPS + 2)
    newer = state.files(settings.output)[-1]
    found = state.State.read(newer)
    with monkeypatch.context() as patch:
        patch.setattr(state, "FORMAT", 0)
        found.save(settings.output)
    said = []
    with prepared(replace(settings, resume="must"), dataset, said.append):
        pass
    assert said[0] == (f"{newer}: was written by another version of fastffdi; going on from the state before")


def test_where_no_state_is_whole_there_is_no_going_on(settings, dataset):
    run(settings, dataset, STEPS + 2)
    for file in state.files(settings.output):
        file.write_bytes(b"torn")
    for resume in ("must", "auto"):
        message = refused(replace(settings, resume=resume), dataset)
        assert message.startswith(
            f"--resume: {settings.output}/state-5.safetensors: is cut short or damaged ("
        )
        assert message.endswith(", and there is no other; begin again with --overwrite")


class Gone(BaseException):
    """The process has ended, as far as a run in it can tell."""


@pytest.mark.parametrize("batches", [4, 6, STEPS + 3])
def test_ended_without_a_word_it_goes_on_from_the_last_state(tiny, dataset, tmp_path, whole, batches):
    settings, number = replace(variants(tiny, tmp_path)["cpu"], save_every="3"), count(1)

    def told(images: int, means: object) -> None:
        if next(number) == batches:
            raise Gone

    with dropping(settings, dataset) as experiment, pytest.raises(Gone):
        list(experiment.run(told))
    whole("cpu").check(resumed(replace(settings, resume="must"), dataset))


def test_ended_in_the_middle_of_saving_it_goes_on_from_the_state_before(
    tiny, dataset, tmp_path, whole, monkeypatch
):
    settings, number = replace(variants(tiny, tmp_path)["cpu"], save_every="2"), count(1)
    write = state.write_tensors

    def writes(path: Path, *given: object) -> None:
        if next(number) == 3:
            raise Gone
        write(path, *given)

    with monkeypatch.context() as patch:
        patch.setattr(state, "write_tensors", writes)
        with dropping(settings, dataset) as experiment, pytest.raises(Gone):
            list(experiment.run(lambda images, means: None))
    assert [path.stem for path in state.files(settings.output)] == ["state-2", "state-4"]
    whole("cpu").check(resumed(replace(settings, resume="must"), dataset))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    errors = tmp_path_factory.mktemp("runs") / "errors"
    with killed.runs(errors) as runs:
        yield runs
    assert errors.read_text() == ""


def survived(runs: Runs, settings: Settings, dataset: Dataset, kills: list[Kill]) -> Outcome:
    """Of a run that is killed, and gone on with, again and again; the kills must have come to pass."""
    for kill in kills:
        assert runs(settings, dataset, kill) == -signal.SIGKILL, kill
        settings = replace(settings, resume="auto")
    assert runs(settings, dataset) == 0
    return Outcome.of(settings.output)


@pytest.mark.slow
def test_killed_in_training_in_validation_and_in_saving_it_ends_as_it_would_have(
    tiny, dataset, tmp_path, whole, runs
):
    settings = replace(variants(tiny, tmp_path)["cpu"], save_every="2")
    kills = [Kill(batches=4), Kill(batches=1), Kill(saving=2), Kill(batches=6)]
    whole("cpu").check(survived(runs, settings, dataset, kills))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cpu", "process", "dali", "cache", "average"])
def test_killed_ten_times_it_ends_as_it_would_have(tiny, dataset, tmp_path, whole, runs, name):
    settings = replace(variants(tiny, tmp_path)[name], save_every="2", epochs=8)
    reference = replace(settings, output=tmp_path / "whole")
    assert runs(reference, dataset) == 0
    rng = random.Random(f"kills of {name}")
    kills = [
        Kill(batches=3),  # twice within the first epoch
        Kill(batches=2),
        Kill(saving=1),
        Kill(saving=2),
        *(Kill(batches=rng.randint(1, STEPS)) for _ in range(4)),
        *(Kill(seconds=rng.uniform(0.05, 0.4)) for _ in range(2)),
    ]
    rng.shuffle(kills)
    Outcome.of(reference.output).check(survived(runs, settings, dataset, kills))
