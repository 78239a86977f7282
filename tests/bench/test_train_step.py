import statistics
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fastffdi.bench import train_step
from fastffdi.bench.phases import PHASES
from fastffdi.bench.train_step import EAGER, REAL, SYNTHETIC, TUTORIAL, Result, Rounds, measure, verdict
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import compilation
from fastffdi.training.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _short_epochs(monkeypatch):
    """So that turns also meet the end of an epoch."""
    monkeypatch.setattr(train_step, "EPOCH", 16)


@pytest.fixture
def settings(tiny):
    return Settings(
        "test_efficientnet", str(tiny / "recipe.yaml"), 1, 1e-3, Path(), LoaderSettings(1, 4, 1),
        "cpu", "cpu", amp="off", pretrained=False, overwrite=True,
    )  # fmt: skip


@pytest.fixture
def ready(settings, image_files):
    with closing(train_step.prepare(settings, image_files, lambda line: None)) as found:
        yield found


def test_images_without_labels_count_as_real(settings, image_files):
    with closing(train_step.prepare(settings, replace(image_files, labels=None), print)) as ready:
        labels = ready.dataset.train.labels
        assert labels is not None
        assert set(labels.tolist()) == {0}


def test_a_recipe_that_stops_mixing_is_measured_while_it_mixes(settings, image_files, tiny, tmp_path):
    recipe = tmp_path / "mix.yaml"
    recipe.write_text((tiny / "recipe.yaml").read_text() + "mix: {mixup: 1.0, off_epochs: 3}\n")
    settings = replace(settings, pipeline=str(recipe))
    with closing(train_step.prepare(settings, image_files, lambda line: None)) as ready:
        assert ready.train.mixer.until == 1


def test_all_kinds_have_their_turns(ready):
    turns = []
    results = measure(ready, Rounds(0.01, 2, baseline=True), turns.append)
    assert turns == [REAL, SYNTHETIC, TUTORIAL] * 3
    for result in results:
        assert len(result.rates) == len(result.steps) == 2
        assert min(result.rates) > 0
        assert all(tuple(step) == PHASES for step in result.steps)
        assert all(min(step["forward"], step["backward"], step["optimiser"]) > 0 for step in result.steps)


def test_launches_of_a_step_are_those_of_the_model_and_its_updates(ready):
    real, synthetic = measure(ready, Rounds(0.01, 1))
    parameters = len(list(ready.trainer.model.parameters()))
    # AdamW alone computes nine times or more for every parameter; real images have to be normalised as well.
    assert real.launches > synthetic.launches > 9 * parameters
    assert synthetic.to_data()["launches_per_step"] == synthetic.launches


def test_a_compiled_step_is_measured_beside_the_plain_one(settings, image_files, monkeypatch):
    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": "eager"})
    turns, settings = [], replace(settings, compile=True)
    with closing(train_step.prepare(settings, image_files, lambda line: None)) as ready:
        results = measure(ready, Rounds(0.01, 1), turns.append)
    assert turns == [REAL, SYNTHETIC, EAGER] * 2
    assert all(min(r.phase_seconds(phase) for phase in PHASES[2:]) > 0 for r in results)
    assert results[1].launches == pytest.approx(
        results[2].launches, abs=5
    )  # torch's backend that fuses nothing


def test_phases_are_parts_of_the_step(ready):
    for result in measure(ready, Rounds(0.1, 1)):
        step_seconds = 4 / result.rates[0]
        assert 0.5 * step_seconds < sum(result.steps[0].values()) <= step_seconds


def test_a_turn_is_as_long_as_asked_and_never_shorter_than_three_steps():
    trained = []

    def train(steps, timer):
        trained.append(steps)
        timer.begin()
        timer._marks = [("", 0.0), ("forward", 0.5 * steps)]
        return 2.0

    runner = train_step._Runner("", train, torch.device("cpu"), 9.0, ahead=2, group=4)
    for runner.seconds, counted in ((9.0, False), (9.0, True), (0.1, True)):
        runner.turn(counted)
    assert trained == [2, 3, 2, 20, 2, 4]
    assert runner.rates == [2.0, 2.0]
    assert runner.steps[0] == {**dict.fromkeys(PHASES, 0.0), "forward": 0.5}


def result(rates, steps, cuda=False):
    whole = tuple({**dict.fromkeys(PHASES, 0.0), **step} for step in steps)
    return Result("", 10, cuda, rates, whole)


def test_ratios_are_taken_round_by_round():
    own, other = result((10.0, 30.0, 50.0), []), result((10.0, 10.0, 100.0), [])
    assert own.ratio(other) == statistics.median([1.0, 3.0, 0.5])


def test_figures_are_medians_over_turns():
    steps = [{"data": 0.1, "forward": 0.1}, {"data": 0.3, "forward": 0.1}, {"data": 0.1, "forward": 0.3}]
    data = result((10.0, 20.0, 40.0), steps).to_data()
    assert data["images_per_second"] == {"median": 20.0, "q25": 15.0, "q75": 30.0}
    assert data["step_ms"] == {**dict.fromkeys(PHASES, 0.0), "data": 100.0, "forward": 100.0}
    assert data["data_share"] == 0.5
    assert data["gpu_busy_share"] is None


def test_a_gpu_is_busy_where_it_does_not_wait_for_data():
    steps = [{"data": 0.2, "copy": 0.1, "backward": 0.5}]
    assert result((10.0,), steps, cuda=True).busy == pytest.approx(0.6)  # 10 images a step: 1 s


@pytest.mark.parametrize(
    ("real", "limit"),
    [
        ({"forward": 1.02}, "Limit: the model."),
        ({"data": 3.0, "forward": 1.5}, "Limit: the loader;"),
        ({"data": 0.1, "copy": 0.4, "forward": 1.0}, "Limit: copying to the device"),
        ({"data": 0.1, "copy": 0.1, "forward": 1.2, "backward": 0.3}, "Limit: the cores,"),
    ],
)
def test_the_verdict_names_what_real_data_make_longest(real, limit):
    synthetic = result((10.0,), [{"forward": 1.0}])
    line = verdict(result((10.0 / sum(real.values()),), [real]), synthetic)
    assert line.startswith(limit)
    assert f"waits for images {real.get('data', 0) / sum(real.values()):.0%} of the time" in line
    assert f"real data reach {1 / sum(real.values()):.2f} of the synthetic speed" in line


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_phases_are_timed_by_events(settings, image_files):
    settings = replace(settings, device="cuda", amp="auto")
    with closing(train_step.prepare(settings, image_files, lambda line: None)) as ready:
        results = measure(ready, Rounds(0.2, 1, baseline=True))
    assert [result.cuda for result in results] == [True] * 3
    assert all(0 < result.busy <= 1.01 for result in results)
    assert results[1].share("data") < 0.5
