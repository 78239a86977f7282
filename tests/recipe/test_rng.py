import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastffdi.recipe.rng import MIX_STREAM, CounterRNG

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(-(2**63), 2**64 - 1)
many = st.lists(st.integers(0, 2**40), min_size=1, max_size=30).map(np.array)


def numbers(
    seed: int = 0, epoch: int = 0, row: int = 0, repeat: int = 0, stream: int = 0, n: int = 1
) -> np.ndarray:
    """Two draws for n rows from `row` on."""
    rows = np.arange(row, row + n)
    return CounterRNG(seed).uniform(epoch, rows, np.full(n, repeat), stream, 2)


@quick
@given(seeds, st.integers(0, 10_000), many, st.integers(0, 30))
def test_numbers_lie_in_the_unit_interval(seed: int, epoch: int, rows: np.ndarray, stream: int) -> None:
    u = CounterRNG(seed).uniform(epoch, rows, np.zeros_like(rows), stream, 3)
    assert u.shape == (len(rows), 3)
    assert u.dtype == np.float64
    assert (u >= 0).all()
    assert (u < 1).all()


@quick
@given(seeds, many, st.data())
def test_a_row_has_its_numbers_in_whatever_batch_it_comes(
    seed: int, rows: np.ndarray, data: st.DataObject
) -> None:
    some = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1)))
    repeats = np.arange(len(rows))
    whole = CounterRNG(seed).uniform(3, rows, repeats, 5, 4)
    assert np.array_equal(CounterRNG(seed).uniform(3, rows[some], repeats[some], 5, 4), whole[some])


@quick
@given(seeds, many, st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_steps_are_uniform_for_every_step(seed: int, rows: np.ndarray, draws: list[int]) -> None:
    rng, repeats = CounterRNG(seed), np.arange(len(rows))
    for k, u in enumerate(rng.steps(2, rows, repeats, draws)):
        assert np.array_equal(u, rng.uniform(2, rows, repeats, k, draws[k]))


def test_an_empty_recipe_and_an_empty_batch_draw_nothing() -> None:
    none = np.zeros(0, np.int64)
    assert CounterRNG(0).steps(0, np.arange(3), np.zeros(3, np.int64), []) == []
    assert CounterRNG(0).uniform(0, none, none, 0, 3).shape == (0, 3)


@pytest.mark.parametrize("part", ["seed", "epoch", "row", "repeat", "stream"])
def test_every_part_of_the_key_changes_all_numbers(part: str) -> None:
    drawn = np.concatenate([numbers(**{part: value}) for value in range(100)]).ravel()
    assert len(set(drawn)) == 200


def test_the_parts_of_the_key_do_not_stand_for_each_other() -> None:
    parts = ("seed", "epoch", "row", "repeat", "stream")
    assert len({numbers(**{part: 1})[0, 0] for part in parts}) == len(parts)


def test_mixing_has_numbers_of_its_own() -> None:
    recipe = numbers(n=50)
    assert not np.isin(numbers(stream=MIX_STREAM, n=50), recipe).any()


def test_numbers_are_uniform() -> None:
    u = numbers(n=20_000).ravel()
    assert abs(u.mean() - 0.5) < 0.01
    assert stats.kstest(u, "uniform").pvalue > 0.01


@pytest.mark.parametrize("part", ["seed", "epoch", "row", "repeat"])
def test_neighbours_are_not_correlated(part: str) -> None:
    u = np.concatenate([numbers(**{part: value}) for value in range(4000)])
    first, second = u[:, 0], u[:, 1]
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.05
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_numbers_never_change_between_versions() -> None:
    u = CounterRNG(2024).uniform(3, np.array([0, 1, 999_999]), np.array([0, 2, 1]), 4, 2)
    assert u.tolist() == [
        [0.3321568098853702, 0.498861264843521],
        [0.4753935165368355, 0.5347609994430254],
        [0.5321862716482751, 0.3052360900913451],
    ]
