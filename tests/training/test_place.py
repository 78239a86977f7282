import itertools
import json
import time

import torch

from fastffdi.training.place import Place

CPU = torch.device("cpu")


def sums(*values):
    return tuple(torch.tensor(float(value)) for value in values)


def test_updates_add_up_and_an_epoch_begins_with_nothing():
    place = Place(CPU)
    assert place.fresh
    place.add(8, sums(4, 2, 8, 8), 0.01)
    place.add(8, sums(2, 6, 16, 8), 0.02)
    place.add(4, sums(2, 2, 16, 4), 0.015)
    assert (place.epoch, place.images, place.highest_rate) == (0, 20, 0.02)
    assert place.means.means() == {"loss": 0.4, "accuracy": 0.5, "gradient_norm": 2.0}
    place.corrupt.add(3)
    place.begin(1)
    assert (place.epoch, place.images, place.highest_rate, place.corrupt) == (1, 0, 0.0, set())
    assert place.means.sums() == [0, 0, 0, 0]
    assert not place.fresh


def test_it_goes_on_where_another_one_stood_to_the_bit():
    first, second = Place(CPU), Place(CPU)
    first.begin(2)
    first.add(8, sums(1 / 3, 0.1, 0.2, 8), 0.1 + 0.2)
    first.corrupt.update({9, 2})
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.fresh
    assert second.state_dict() == first.state_dict()
    for place in (first, second):
        place.add(8, sums(0.7, 0.3, 0.9, 8), 0.1)
    assert second.state_dict() == first.state_dict()


def test_the_time_goes_on_as_well(monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds))
    first, second = Place(CPU), Place(CPU)
    clock = first.start_clock()  # at 0
    with clock.waiting():  # from 1 to 2
        pass
    first.add(30, sums(0, 0, 0, 30), 0.1)
    state = first.state_dict()  # at 3
    assert (state["seconds"], state["waited"]) == (3, 1)
    second.load_state_dict(state)
    second.start_clock()  # at 4
    second.stop_clock()  # at 5
    assert second.images_per_second == 30 / 4
    assert second.wait_share == 1 / 4
    assert second.state_dict() | {"seconds": 3} == state


def test_saving_counts_from_the_end_of_the_epoch_before(monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds))
    place = Place(CPU)
    with place.saving():  # from 0 to 1, when no clock runs
        pass
    place.start_clock()  # at 2
    with place.saving():  # from 3 to 4
        pass
    place.stop_clock()  # at 5
    assert place.save_share == (1 + 1) / (3 + 1)
    second = Place(CPU)
    second.load_state_dict(place.state_dict())
    assert second.save_share == place.save_share
