"""The public Loader's place in the data: its state, and how a loader goes on from one."""

import pytest
from public_loaders import BOTH, TEN, bits, loader_of

from fastffdi.errors import SettingError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("backend", ["cpu", "dali"])
@pytest.mark.parametrize("consumed", [0, 1, 3, 6])
def test_the_remaining_batches_are_bit_equal(image_files, backend, consumed):
    how = {"shuffle": True, "seed": 5, "mix": BOTH, "backend": backend}
    with loader_of(image_files, **how) as loader:
        loader.set_epoch(2)
        iteration = iter(loader)
        for _ in range(consumed):
            next(iteration)
        state = loader.state_dict()
        rest = bits(iteration)
        after = bits(loader)
    with loader_of(image_files, **how) as resumed:
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        assert bits(resumed) == rest
        assert len(rest) == 6 - consumed
        assert bits(resumed) == after


def test_a_loader_goes_back_to_its_own_state(image_files):
    with loader_of(image_files, shuffle=True) as loader:
        iteration = iter(loader)
        next(iteration)
        state = loader.state_dict()
        rest = bits(iteration)
        loader.load_state_dict(state)
        assert bits(loader) == rest


def test_the_state_counts_epochs_and_images(image_files):
    with loader_of(image_files) as loader:
        places = [loader.state_dict()]
        for _ in loader:
            places.append(loader.state_dict())
        places.append(loader.state_dict())
    assert [place["consumed"] for place in places] == [0, 4, 8, 12, 16, 20, 23, 0]
    assert [place["epoch"] for place in places] == [0] * 7 + [1]
    assert all(type(value) is int for value in places[1].values())


def test_several_views_of_an_image_are_consumed_as_one(image_files):
    with loader_of(image_files, TEN) as loader:
        next(iter(loader))
        assert loader.state_dict()["consumed"] == 4


def test_to_name_the_restored_epoch_keeps_the_place(image_files):
    with loader_of(image_files, shuffle=True) as loader:
        loader.set_epoch(1)
        iteration = iter(loader)
        next(iteration)
        state, rest = loader.state_dict(), bits(iteration)
        loader.load_state_dict(state)
        loader.set_epoch(1)
        assert bits(loader) == rest
        loader.load_state_dict(state)
        loader.set_epoch(2)
        assert loader.state_dict()["consumed"] == 0


@pytest.mark.parametrize(("name", "value"), [("seed", 9), ("batch_size", 3), ("images", 22)])
def test_the_state_of_another_loader_is_refused(image_files, name, value):
    with loader_of(image_files) as loader:
        own = loader.state_dict()
        with pytest.raises(
            SettingError, match=f"^loader state: {name} is {value} and the loader's {own[name]};"
        ):
            loader.load_state_dict(own | {name: value})
