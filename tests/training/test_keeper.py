"""When the state of a run is saved, and what is kept of it when it is stopped."""

import signal
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from experiments import prepared
from outcomes import STEPS, run

from fastffdi.errors import RunError
from fastffdi.training import state
from fastffdi.training.saving import Saver
from fastffdi.training.watch import NonFinite, Seen

pytestmark = pytest.mark.usefixtures("one_thread")


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


def test_weights_that_are_no_numbers_are_not_saved_over_good_ones(settings, dataset):
    with prepared(replace(settings, save_every="2"), dataset) as experiment:
        number = count(1)

        def told(images, means):
            if next(number) == STEPS + 2:
                experiment.trainer.model.classifier.bias.data.fill_(float("nan"))

        with pytest.raises(RunError, match=r"not finite, and are not saved|the loss is nan"):
            list(experiment.run(told))
    # After seven updates, the second of its epoch, the state is due.
    assert [path.stem for path in state.files(settings.output)] == ["state-4", "state-5"]


def test_a_loss_that_is_no_number_ends_a_run_before_it_is_saved(settings, dataset):
    with prepared(settings, dataset) as experiment:
        keeper = experiment._keeper(Saver(settings.output), experiment.trainer.stop)
        experiment.trainer.watch._seen.append(Seen(0, 2, *[np.zeros(1, int)] * 2, torch.tensor([torch.nan])))
        with pytest.raises(NonFinite, match=r"^epoch 1, batch 3: the loss is nan; lower --lr, or set clip"):
            keeper.save()
