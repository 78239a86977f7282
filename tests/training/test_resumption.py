"""A run that is stopped anywhere and gone on with is the run that was not: to the bit, figures included."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import killed
import pytest
import torch
from conftest import one_torch_thread
from experiments import figures, prepared, refused, settings_of, with_mixing
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from killed import Kill, Runs
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from fastffdi.data.layout import Dataset
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.training import resumption, state
from fastffdi.training.experiment import Experiment
from fastffdi.training.folder import BEST, LAST, TABLE
from fastffdi.training.keeper import Stopped
from fastffdi.training.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")

#: Batches of an epoch: five of training and two of validation.
STEPS, EPOCHS = 7, 3


class Outcome(NamedTuple):
    """What a run leaves, but for what the clock decides."""

    weights: dict[str, dict[str, torch.Tensor]]
    table: list[dict[str, str]]
    events: list[tuple[int, str, float]]

    @classmethod
    def of(cls, folder: Path) -> "Outcome":
        (file,) = folder.glob("events.*")
        events = [
            (event.step, value.tag, value.tensor.float_val[0])
            for event in EventFileLoader(str(file)).Load()
            for value in event.summary.value
            if value.tag not in ("images_per_second", "wait_share")
        ]
        return cls({name: load_file(folder / name) for name in (BEST, LAST)}, figures(folder), events)

    def check(self, other: "Outcome") -> None:
        for name, weights in self.weights.items():
            for tensor, value in weights.items():
                assert torch.equal(value, other.weights[name][tensor]), (name, tensor)
        assert self.table == other.table
        assert self.events == other.events


@contextmanager
def dropping(settings: Settings, dataset: Dataset, say: Callable = lambda line: None) -> Iterator[Experiment]:
    """The experiment, with dropout: torch's random numbers count as well."""
    with prepared(settings, dataset, say) as experiment:
        experiment.trainer.model.drop_rate = 0.3
        yield experiment


def run(settings: Settings, dataset: Dataset, stop: int | None = None) -> Stopped | None:
    """To the end, or until so many batches are over; how it was stopped."""
    with dropping(settings, dataset) as experiment:
        number = count(1)

        def told(images: int, means: object) -> None:
            if next(number) == stop:
                experiment.trainer.stop.request(signal.SIGTERM)

        try:
            list(experiment.run(told))
        except Stopped as stopped:
            return stopped
    return None


def resumed(settings: Settings, dataset: Dataset, *stops: int) -> Outcome:
    """Of a run that is stopped after so many batches, and again after so many more."""
    for stop in stops:
        run(settings, dataset, stop)
        settings = replace(settings, resume="auto")
    assert run(settings, dataset) is None
    return Outcome.of(settings.output)


def variants(tiny: Path, folder: Path) -> dict[str, Settings]:
    """What may differ in how images come; all are mixed and flipped."""
    plain = with_mixing(settings_of(tiny, folder / "run"), folder)
    process = LoaderSettings(threads=1, batch_size=8, process=True)
    return {
        "cpu": plain,
        "process": replace(plain, loading=process),
        "dali": replace(plain, backend="dali"),
        "cache": replace(plain, cache=folder / "cache"),
    }


@pytest.fixture(scope="module")
def whole(tiny: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """whole(variant): of the uninterrupted run, run once."""
    known: dict[str, Outcome] = {}

    def outcome(name: str) -> Outcome:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            with one_torch_thread():
                run(variants(tiny, folder)[name], dataset)
            known[name] = Outcome.of(folder / "run")
        return known[name]

    return outcome


# The same run.


@pytest.mark.parametrize("name", ["cpu", "dali", "cache", pytest.param("process", marks=pytest.mark.slow)])
def test_stopped_twice_within_an_epoch_it_ends_as_it_would_have(tiny, dataset, tmp_path, whole, name):
    same = name if name == "dali" else "cpu"
    whole(same).check(resumed(variants(tiny, tmp_path)[name], dataset, STEPS + 2, 2))


def test_dropout_and_mixing_take_part_in_it(tiny, dataset, tmp_path, whole):
    settings = settings_of(tiny, tmp_path / "run")
    run(settings, dataset)
    found = Outcome.of(settings.output)
    assert found.table != whole("cpu").table


@trying(max_examples=5, deadline=None)
@given(stops=st.lists(st.integers(1, STEPS * EPOCHS - 1), min_size=1, max_size=2))
def test_stopped_after_any_batch_it_ends_as_it_would_have(tiny, dataset, tmp_path_factory, whole, stops):
    settings = variants(tiny, tmp_path_factory.mktemp("any"))["cpu"]
    whole("cpu").check(resumed(settings, dataset, *stops))


def test_threads_and_cache_may_change_meanwhile(tiny, dataset, tmp_path, whole):
    settings = variants(tiny, tmp_path)["cpu"]
    run(settings, dataset, 3)
    more = LoaderSettings(threads=2, batch_size=8, prefetch=4, memory_cap=1.0)
    run(replace(settings, resume="must", loading=more), dataset, 8)
    whole("cpu").check(resumed(replace(settings, resume="must", cache=tmp_path / "cache"), dataset))


def test_torchvision_goes_on_at_the_beginning_of_an_epoch_and_says_so(settings, dataset):
    settings = replace(settings, backend="torchvision", epochs=2)
    stopped = run(settings, dataset, 2)
    assert str(stopped) == "stopped in epoch 1 of 2; nothing of it is kept"
    assert not stopped.resumable
    assert state.files(settings.output) == []
    stopped = run(settings, dataset, STEPS + 2)
    kept = f"kept in {settings.output} is the beginning of epoch 2"
    assert str(stopped) == f"stopped in epoch 2 of 2, after 16 of 40 training images; {kept}"
    said = []
    with prepared(replace(settings, resume="must"), dataset, said.append) as experiment:
        list(experiment.run(lambda images, means: None))
    assert said[0].startswith("test_efficientnet on cpu")
    assert said[1] == "loader torchvision: a run that is stopped goes on at the beginning of an epoch"
    assert said[2] == f"{settings.output}: going on at the beginning of epoch 2, of 2 epochs"
    assert [row["epoch"] for row in figures(settings.output)] == ["1", "2"]


# What is said, and kept.


@pytest.mark.parametrize(
    ("stop", "where"),
    [
        (2, "in epoch 1 of 3, after 16 of 40 training images"),
        (6, "in the validation of epoch 1 of 3"),
        (STEPS + 5, "in the validation of epoch 2 of 3"),
    ],
)
def test_a_run_says_where_it_stopped_and_what_is_kept(settings, dataset, stop, where):
    stopped = run(settings, dataset, stop)
    assert str(stopped) == f"stopped {where}; all of it is kept in {settings.output}"
    assert (stopped.number, stopped.exit_code, stopped.resumable) == (signal.SIGTERM, 143, True)


def test_it_says_where_it_goes_on(settings, dataset):
    run(settings, dataset, STEPS + 2)
    said = []
    with prepared(replace(settings, resume="must"), dataset, said.append):
        pass
    assert said[-1] == f"{settings.output}: going on at epoch 2 after 16 of 40 training images, of 3 epochs"
    assert "test_efficientnet starts from random weights" not in said


def test_a_run_that_is_finished_is_said_to_be_and_left_alone(settings, dataset):
    run(settings, dataset)
    before = {path.name: path.read_bytes() for path in settings.output.glob("*.safetensors")}
    said = []
    for resume in ("must", "auto"):
        with prepared(replace(settings, resume=resume), dataset, said.append) as experiment:
            assert list(experiment.run(lambda images, means: None)) == []
            assert experiment.best.epoch == experiment.history.best.epoch
            assert len(experiment.history.results) == 3
        assert said[-1] == f"{settings.output}: this run is finished, after 3 epochs; nothing is left to do"
    assert {path.name: path.read_bytes() for path in settings.output.glob("*.safetensors")} == before


def test_of_a_finished_run_no_state_is_left_but_that_it_is(settings, dataset):
    run(settings, dataset)
    (file,) = state.files(settings.output)
    found = state.State.read(file)
    assert (found.finished, found.tensors, found.updates) == (True, {}, 15)
    assert file.stat().st_size < 10_000


def test_the_last_two_states_are_kept(settings, dataset):
    settings = replace(settings, save_every="2")
    run(settings, dataset, STEPS + 4)
    assert [path.stem for path in state.files(settings.output)] == ["state-7", "state-9"]


def test_states_are_saved_every_so_many_updates_and_at_the_end_of_an_epoch(settings, dataset, monkeypatch):
    saved, save = [], state.State.save
    monkeypatch.setattr(
        state.State, "save", lambda self, folder: (saved.append(self.updates), save(self, folder))[1]
    )
    run(replace(settings, save_every="2"), dataset)
    assert saved == [2, 4, 5, 7, 9, 10, 12, 14, 15]
    saved.clear()
    run(replace(settings, overwrite=True), dataset)
    assert saved == [5, 10, 15]


# A process that ends without being asked.


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
@pytest.mark.parametrize("name", ["cpu", "process", "dali", "cache"])
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


# What is refused.


def test_without_a_state_there_is_nothing_to_go_on_with(settings, dataset):
    message = refused(replace(settings, resume="must"), dataset)
    assert message == (
        f"--resume: {settings.output} holds no state to go on from; name the folder of a run with --output, "
        "or leave out --resume"
    )


def test_auto_begins_where_there_is_nothing(tiny, dataset, tmp_path, whole):
    settings = replace(variants(tiny, tmp_path)["cpu"], resume="auto")
    whole("cpu").check(resumed(settings, dataset))


def test_auto_deletes_no_run_of_which_there_is_no_state(settings, dataset):
    settings.output.mkdir()
    (settings.output / TABLE).write_text("old")
    message = refused(replace(settings, resume="auto"), dataset)
    assert message.startswith(f"--output {settings.output}: already holds a run; name another folder")


def test_a_folder_with_an_interrupted_run_is_refused_and_resume_is_named(settings, dataset):
    run(settings, dataset, 2)
    assert refused(settings, dataset) == (
        f"--output {settings.output}: holds a run that was interrupted; go on with it by --resume, name "
        "another folder, or add --overwrite"
    )
    with prepared(replace(settings, overwrite=True), dataset) as experiment:
        assert (experiment.place.epoch, experiment.place.images, experiment.resumed) == (0, 0, False)


def test_other_settings_are_refused_by_name(settings, dataset):
    run(settings, dataset, 2)
    changed = replace(settings, resume="must", learning_rate=0.5, seed=8, balance=True)
    assert refused(changed, dataset) == (
        f"--resume: the run in {settings.output} is another one: --lr 0.01, now 0.5; --balance False, now "
        "True; --seed 7, now 8; repeat its options, or name another folder"
    )


def test_other_images_labels_and_recipes_are_refused(settings, dataset, tmp_path):
    run(settings, dataset, 2)
    again = replace(settings, resume="must")
    fewer = replace(dataset, val=dataset.val.take(slice(1, None)))
    assert "--data 40 and 16 images (" in refused(again, fewer)
    assert "), now 40 and 15 images (" in refused(again, fewer)
    swapped = replace(dataset, train=replace(dataset.train, labels=1 - dataset.train.labels))
    assert "is another one: --data 40 and 16 images (" in refused(again, swapped)
    moved = replace(dataset, train=replace(dataset.train, root="/elsewhere"))
    with prepared(again, moved):
        pass
    assert "is another one: --pipeline recipe " in refused(with_mixing(again, tmp_path), dataset)


def test_a_best_checkpoint_that_is_missing_is_said(settings, dataset):
    run(settings, dataset, STEPS + 2)
    (settings.output / BEST).unlink()
    assert refused(replace(settings, resume="must"), dataset) == (
        f"--resume: {settings.output / BEST} is missing, the model of epoch 1; put it back, or begin again "
        "with --overwrite"
    )


def test_other_versions_are_said(settings, dataset, monkeypatch):
    run(settings, dataset, 2)
    now = resumption.versions()
    monkeypatch.setattr(resumption, "versions", lambda: now | {"torch": "9.9"})
    said = []
    with prepared(replace(settings, resume="must"), dataset, said.append):
        pass
    assert said[0] == f"begun with torch {now['torch']}, now 9.9: results may differ in their last digits"
