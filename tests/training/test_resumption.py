"""A run that is stopped anywhere and gone on with is the run that was not: to the bit, figures included."""

from dataclasses import replace

import pytest
from experiments import figures, prepared, settings_of
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from outcomes import EPOCHS, STEPS, Outcome, resumed, run, variants

from fastffdi.loaders.settings import LoaderSettings
from fastffdi.training import resumption, state

pytestmark = pytest.mark.usefixtures("one_thread")


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


def test_auto_begins_where_there_is_nothing(tiny, dataset, tmp_path, whole):
    settings = replace(variants(tiny, tmp_path)["cpu"], resume="auto")
    whole("cpu").check(resumed(settings, dataset))


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


def test_other_versions_are_said(settings, dataset, monkeypatch):
    run(settings, dataset, 2)
    now = resumption.versions()
    monkeypatch.setattr(resumption, "versions", lambda: now | {"torch": "9.9"})
    said = []
    with prepared(replace(settings, resume="must"), dataset, said.append):
        pass
    assert said[0] == f"begun with torch {now['torch']}, now 9.9: results may differ in their last digits"
