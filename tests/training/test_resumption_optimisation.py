"""Runs with accumulation, clipping, an average and the like that are stopped and gone on with."""

from dataclasses import replace

import pytest
from experiments import prepared
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from outcomes import EPOCHS, STEPS, Outcome, resumed, run, variants

from fastffdi.errors import SettingError
from fastffdi.training import state
from fastffdi.training.experiment import prepare
from fastffdi.training.keeper import Stopped
from fastffdi.training.optimisation import Optimisation

pytestmark = pytest.mark.usefixtures("one_thread")

#: Of five batches in an epoch, three updates; the last is of one.
MUCH = Optimisation(
    accumulate=2, clip_gradient=0.5, ema=0.9, label_smoothing=0.1, drop_path=0.2, freeze=1, layer_decay=0.9
)
RECIPES = {
    "much": MUCH,
    "one-cycle": Optimisation(optimiser="sgd", schedule="one-cycle", accumulate=3, ema=0.9),
    "norm": Optimisation(optimiser="lamb", schedule="step", tune="norm", class_weights="balanced"),
    "head": Optimisation(optimiser="lion", schedule="linear", tune="head", warmup=0.0),
    "muon": Optimisation(optimiser="muon", schedule="constant"),
}


@pytest.fixture(scope="session")
def uninterrupted(tiny, dataset, tmp_path_factory):
    known = {}

    def outcome(name):
        if name not in known:
            settings = recipe(tiny, tmp_path_factory.mktemp("whole"), name)
            assert run(settings, dataset) is None
            known[name] = Outcome.of(settings.output)
        return known[name]

    return outcome


def recipe(tiny, folder, name):
    return replace(variants(tiny, folder)["cpu"], optimisation=RECIPES[name])


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "much"])
def test_stopped_twice_it_ends_as_it_would_have(tiny, dataset, tmp_path, uninterrupted, name):
    uninterrupted(name).check(resumed(recipe(tiny, tmp_path, name), dataset, STEPS + 1, 3))


@trying(max_examples=5, deadline=None)
@given(stops=st.lists(st.integers(1, STEPS * EPOCHS - 1), min_size=1, max_size=2))
def test_stopped_after_any_batch_it_ends_as_it_would_have(
    tiny, dataset, tmp_path_factory, uninterrupted, stops
):
    settings = recipe(tiny, tmp_path_factory.mktemp("any"), "much")
    uninterrupted("much").check(resumed(settings, dataset, *stops))


def test_the_batches_of_an_update_are_not_parted(tiny, dataset, tmp_path):
    settings = recipe(tiny, tmp_path, "much")
    stopped = run(settings, dataset, 1)
    assert "after 16 of 40 training images; all of it is kept" in str(stopped)
    assert [path.name for path in state.files(settings.output)] == ["state-1.safetensors"]
    with prepared(replace(settings, resume="must"), dataset) as experiment:
        assert (experiment.place.images, experiment.trainer.optimiser.updates) == (16, 1)


def test_states_are_saved_between_updates(tiny, dataset, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(
        "fastffdi.training.state.State.of",
        classmethod(lambda cls, parts, updates, identity: kept.append(parts["place"].images) or 1 / 0),
    )
    with pytest.raises(ZeroDivisionError):
        run(replace(recipe(tiny, tmp_path, "much"), save_every="1"), dataset)
    assert kept == [16]


def test_another_way_to_learn_is_another_run(tiny, dataset, tmp_path):
    settings = recipe(tiny, tmp_path, "much")
    run(settings, dataset, 2)
    other = replace(MUCH, accumulate=1, clip_gradient=None)
    with pytest.raises(SettingError) as caught:
        prepare(replace(settings, optimisation=other, resume="must"), dataset, print)
    assert "is another one: clip_gradient 0.5, now None; --accumulate 2, now 1; repeat" in str(caught.value)


@pytest.mark.parametrize(("batch", "images"), [(1, 16), (2, 16), (3, 32)])
def test_a_stop_while_the_second_batch_of_an_update_is_waited_for_comes_after_it(
    tiny, dataset, tmp_path, batch, images
):
    settings = recipe(tiny, tmp_path, "much")
    with prepared(settings, dataset) as experiment:
        loader, batches = experiment.train, experiment.train.batches

        def asked(*place):
            for number, one in enumerate(batches(*place)):
                if number == batch:
                    experiment.trainer.stop.request()
                yield one

        loader.batches = asked
        with pytest.raises(Stopped, match=rf"after {images} of 40 training images; all of it is kept"):
            list(experiment.run(lambda images, means: None))
    assert [path.stem for path in state.files(settings.output)] == [f"state-{images // 16}"]
