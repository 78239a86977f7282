"""The place of a process among those that torchrun has started."""

import pytest

from fastffdi.errors import SettingError
from fastffdi.world import ALONE, World

SECOND = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}


def test_torchrun_tells_it():
    world = World.here(SECOND)
    assert world == World(rank=5, size=8, local_rank=1, local_size=4)
    assert not world.alone
    assert not world.first


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1"}, {"WORLD_SIZE": "1", "RANK": "0"}])
def test_without_torchrun_a_process_is_alone(environment):
    assert World.here(environment) == ALONE
    assert ALONE.alone
    assert ALONE.first
    assert ALONE.may_tell()


def test_shares_are_every_sizeth_and_cover_all():
    worlds = [World(rank, 3, rank, 3) for rank in range(3)]
    assert [list(range(7)[world.share]) for world in worlds] == [[0, 3, 6], [1, 4], [2, 5]]
    assert [world.part_of(7) for world in worlds] == [3, 2, 2]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"RANK": ""}, "RANK: not set in the environment; start the processes by torchrun, which sets it"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE: -2 in the environment; start"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE: 0 in the environment; start"),
        ({"RANK": "8"}, "RANK and the like: World(rank=8, size=8, local_rank=1, local_size=4) cannot be"),
        ({"LOCAL_RANK": "4"}, "RANK and the like: World(rank=5, size=8, local_rank=4, local_size=4) cannot"),
    ],
)
def test_variables_that_make_no_sense_are_refused(changed, problem):
    with pytest.raises(SettingError) as caught:
        World.here(SECOND | changed)
    assert str(caught.value).startswith(problem)


def test_where_nobody_answers_a_process_may_tell_its_error(monkeypatch):
    monkeypatch.setattr("fastffdi.world._TELL_SECONDS", 0.1)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    assert World(1, 2, 1, 2).may_tell()
