import numpy as np
import pytest
import torch
from fake_cuda import fake_cuda

from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import Prepared
from fastffdi.recipe.program import Program
from fastffdi.training.watch import REMEMBERED, NonFinite, Watch

NAN, INF = float("nan"), float("inf")
NOTHING = Prepared(*[torch.zeros(0)] * 3)
PROGRAM = Program.of(())


def batch(number, invalid=()):
    rows = np.arange(4 * number, 4 * number + 4)
    valid = ~np.isin(rows, invalid)
    return Batch(torch.zeros(4, 1, 1, 3), rows % 2, rows, 0 * rows, valid, 2, PROGRAM)


class OnCuda:
    """Sums of a batch that are on a GPU, as far as can be seen."""

    device = torch.device("cuda")

    def __init__(self, sums):
        self.sums = sums

    def __getitem__(self, place):
        return self.sums[place]


def saw(watch, *losses, on=lambda sums: sums, means=None):
    for number, loss in enumerate(losses):
        watch.saw(batch(number), NOTHING, number, on(torch.tensor([loss, 1.0, 4.0])), means)


@pytest.mark.parametrize(("loss", "said"), [(NAN, "nan"), (INF, "inf"), (-INF, "-inf")])
def test_on_a_cpu_the_batch_itself_is_named_and_the_one_before_suspected(loss, said):
    with pytest.raises(NonFinite) as caught:
        saw(Watch(), 1.0, 2.0, loss)
    assert str(caught.value) == (
        f"epoch 3, batch 3: the loss is {said}; lower --lr, set --amp off, or set clip_gradient in --config"
    )
    assert [seen.rows.tolist() for seen in caught.value.suspects] == [[4, 5, 6, 7], [8, 9, 10, 11]]


def test_what_is_off_need_not_be_set_off():
    with pytest.raises(NonFinite, match=r"is nan; lower --lr, or set clip_gradient in --config$"):
        saw(Watch(mixed=False), NAN)


def test_gradients_and_accuracy_may_be_infinite():
    watch = Watch()
    watch.saw(batch(0), NOTHING, 0, torch.tensor([1.0, INF]), {"loss": 1.0, "gradient_norm": INF})
    watch.check()


def test_elsewhere_the_means_tell_and_the_first_such_batch_is_found():
    watch = Watch()
    saw(watch, 1.0, 2.0, NAN, 3.0, NAN, on=OnCuda)
    with pytest.raises(NonFinite, match=r"^epoch 3, batch 3: the loss is nan"):
        saw(watch, 4.0, on=OnCuda, means={"loss": NAN})


def test_on_cuda_nothing_is_waited_for():
    with fake_cuda() as device:
        Watch().saw(batch(0), NOTHING, 0, torch.ones(3, device=device), {"loss": 1.0})


def test_a_check_asks_at_once():
    watch = Watch()
    watch.check()
    saw(watch, 1.0, INF, on=OnCuda)
    with pytest.raises(NonFinite, match=r"^epoch 3, batch 2: the loss is inf"):
        watch.check()


def test_placeholders_are_not_suspected_and_batches_of_long_ago_are_forgotten():
    watch = Watch()
    saw(watch, *[1.0] * (REMEMBERED + 5))
    assert len(watch._seen) == REMEMBERED
    with pytest.raises(NonFinite) as caught:
        watch.saw(batch(0, invalid=(1, 2)), NOTHING, 0, torch.tensor([NAN]), None)
    assert caught.value.suspects[-1].rows.tolist() == [0, 3]


def test_the_first_batch_is_shown_once():
    watch, shown = Watch(), []
    watch.first = lambda batch, prepared: shown.append((batch.rows[0], prepared))
    saw(watch, 1.0, 2.0)
    assert shown == [(0, NOTHING)]
