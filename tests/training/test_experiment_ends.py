"""Runs that end before their last epoch: for want of patience, and because their time is over."""

import signal
from dataclasses import replace

import pytest
from experiments import finished, kept, prepared, refused, scored
from outcomes import STEPS, Outcome, dropping, variants

from fastffdi.evaluation import metrics
from fastffdi.model import checkpoint
from fastffdi.training import state
from fastffdi.training.folder import BEST, LAST
from fastffdi.training.interruption import TIME_OVER
from fastffdi.training.keeper import Stopped
from fastffdi.training.optimisation import Optimisation

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("aucs", "patience", "epochs"),
    [
        ((0.5, 0.9, 0.8, 0.7, 0.95), 2, 4),
        ((0.5, 0.9, 0.9, 0.7, 0.95), 1, 3),  # one that is as good is not better
        ((0.5, 0.6, 0.7, 0.8, 0.9), 1, 5),
        ((0.9, 0.5, 0.6, 0.7, 0.8), 4, 5),
        ((0.9, 0.5, 0.6, 0.7, 0.8), None, 5),
    ],
)
def test_after_so_many_epochs_that_are_no_better_the_run_is_finished(
    settings, dataset, fit, aucs, patience, epochs
):
    fit(*((auc, 0.5) for auc in aucs))
    settings = replace(settings, epochs=5, patience=patience)
    experiment, results = finished(settings, dataset)
    assert len(results) == epochs
    assert experiment.finished
    assert experiment.out_of_patience == (epochs - results.index(experiment.best) - 1 == patience)
    assert kept(settings.output, LAST)[0] == epochs - 1
    (file,) = state.files(settings.output)
    assert state.State.read(file).finished


def test_a_run_without_patience_that_goes_on_has_nothing_left_to_do(settings, dataset, fit):
    fit((0.9, 0.5), (0.8, 0.5), (0.95, 0.5))
    settings = replace(settings, patience=1)
    finished(settings, dataset)
    said = []
    with prepared(replace(settings, resume="must"), dataset, said.append) as experiment:
        assert experiment.finished
        assert list(experiment.run(lambda images, means: None)) == []
    assert said[-1] == f"{settings.output}: this run is finished, after 2 epochs; nothing is left to do"


def test_patience_counts_the_epochs_before_a_resumption(settings, dataset, fit):
    settings = replace(settings, epochs=4, patience=2)
    fit((0.9, 0.5), (0.8, 0.5))
    finished(settings, dataset)
    fit((0.9, 0.5), (0.8, 0.5), (0.7, 0.5))
    with prepared(replace(settings, resume="must"), dataset) as experiment:
        assert experiment.history.since_best == 1
        assert not experiment.finished


def test_another_patience_is_another_run(settings, dataset, fit):
    fit((0.9, 0.5))
    finished(settings, dataset)
    line = refused(replace(settings, resume="must", patience=1), dataset)
    assert "is another one: patience None, now 1; repeat its options" in line


class After:
    """An Alarm that rings after so many looks."""

    def __init__(self, looks):
        self.left = looks

    def is_due(self, updates):
        self.left -= 1
        return self.left < 0


def timed(settings, dataset, looks):
    """The experiment, run until its time is over: after so many looks at the clock, one an update."""
    with dropping(settings, dataset) as experiment:
        experiment.time_limit = After(looks)
        list(experiment.run(lambda images, means: None))
    return experiment


def test_a_run_whose_time_is_over_ends_after_the_update_and_goes_on_to_the_bit(
    tiny, dataset, tmp_path, whole
):
    settings = variants(tiny, tmp_path)["cpu"]
    for looks, where in ((2, "1 of 3, after 24"), (4, "2 of 3, after 16"), (1, "2 of 3, after 32")):
        experiment = timed(settings, dataset, looks)
        line = f"stopped in epoch {where} of 40 training images; all of it is kept in {settings.output}"
        assert str(experiment.stopped) == line
        assert (experiment.stopped.number, experiment.stopped.resumable) == (TIME_OVER, True)
        settings = replace(settings, resume="auto")
    assert timed(settings, dataset, 100).stopped is None
    whole("cpu").check(Outcome.of(settings.output))


@pytest.mark.parametrize("how", [{}, {"ema": 0.5}, {"accumulate": 3}], ids=["plain", "ema", "accumulate"])
def test_before_the_first_epoch_is_over_the_model_as_it_is_is_validated_and_kept(settings, dataset, how):
    settings = replace(settings, optimisation=Optimisation(**how))
    experiment = timed(settings, dataset, 0 if "accumulate" in how else 2)  # which looks once an update
    result = experiment.best
    assert experiment.unfinished is result
    assert experiment.history.results == []
    assert (experiment.place.epoch, experiment.place.images) == (0, 24)
    assert checkpoint.read(settings.output / BEST).metrics == result.validation
    scores = scored(settings.output / BEST, dataset)
    assert metrics.summary(dataset.val.labels, scores)["auc"] == pytest.approx(result.validation["auc"])
    assert result.images_per_second > 0
    assert not (settings.output / LAST).exists()


def test_in_validation_the_epoch_is_ended_first(settings, dataset):
    with dropping(settings, dataset) as experiment:
        experiment.time_limit = After(10**6)

        def told(images, means):
            if experiment.trainer.stop.raising:  # in validation
                experiment.time_limit.left = 0

        list(experiment.run(told))
    assert len(experiment.history.results) == 1
    assert experiment.unfinished is None
    assert str(experiment.stopped).startswith("stopped in epoch 2 of 3, after 0 of 40 training images; all")


def test_a_signal_while_the_unfinished_model_is_validated_ends_it_as_ever(settings, dataset):
    with dropping(settings, dataset) as experiment:
        experiment.time_limit = After(2)

        def told(images, means):
            if experiment.trainer.stop.raising:
                experiment.trainer.stop.request(signal.SIGTERM)

        with pytest.raises(Stopped) as caught:
            list(experiment.run(told))
    assert caught.value.exit_code == 143
    assert caught.value.resumable
    assert not (settings.output / BEST).exists()


def test_a_finished_run_ends_as_ever_though_its_time_is_over(settings, dataset):
    experiment = timed(replace(settings, epochs=1), dataset, STEPS - 2)
    assert experiment.finished
    assert experiment.stopped is None
