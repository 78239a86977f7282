import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import epochs, samplers, seeds

from fastffdi.data.sampler import Sampler

quick = settings(max_examples=60, deadline=None)


@quick
@given(st.integers(1, 200), seeds, epochs)
def test_a_shuffle_is_a_permutation(rows: int, seed: int, epoch: int) -> None:
    visited, repeats = Sampler(rows, seed).epoch(epoch)
    assert sorted(visited.tolist()) == list(range(rows))
    assert not repeats.any()
    assert visited.dtype == repeats.dtype == np.int64


def test_without_shuffle_rows_come_as_they_stand() -> None:
    visited, repeats = Sampler(5, shuffle=False).epoch(3)
    assert visited.tolist() == [0, 1, 2, 3, 4]
    assert repeats.tolist() == [0, 0, 0, 0, 0]


@quick
@given(samplers(), epochs)
def test_shards_are_disjoint_and_complete(sampler: Sampler, epoch: int) -> None:
    shards = [
        Sampler(sampler.rows, sampler.seed, sampler.shuffle, sampler.labels, r, sampler.world)
        for r in range(sampler.world)
    ]
    visits = [pair for shard in shards for pair in zip(*shard.epoch(epoch), strict=True)]
    whole = Sampler(sampler.rows, sampler.seed, sampler.shuffle, sampler.labels)
    assert sorted(visits) == sorted(zip(*whole.epoch(epoch), strict=True))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@quick
@given(samplers(), epochs)
def test_length_is_the_number_of_visits(sampler: Sampler, epoch: int) -> None:
    assert len(sampler) == len(sampler.epoch(epoch)[0])


@quick
@given(samplers(), epochs, st.integers(0, 70))
def test_resuming_at_k_gives_the_tail(sampler: Sampler, epoch: int, k: int) -> None:
    rows, repeats = sampler.epoch(epoch)
    resumed_rows, resumed_repeats = sampler.epoch(epoch, k)
    assert resumed_rows.tolist() == rows[k:].tolist()
    assert resumed_repeats.tolist() == repeats[k:].tolist()


@quick
@given(samplers(), epochs)
def test_the_same_call_gives_the_same_answer(sampler: Sampler, epoch: int) -> None:
    assert np.array_equal(sampler.epoch(epoch), sampler.epoch(epoch))


@quick
@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), seeds, epochs)
def test_balance_visits_every_class_equally_often(labels: list[int], seed: int, epoch: int) -> None:
    rows, _ = Sampler(len(labels), seed, labels=np.array(labels)).epoch(epoch)
    counts = np.bincount(np.array(labels)[rows])
    assert set(counts[counts > 0]) == {np.bincount(labels).max()}
    assert set(rows) == set(range(len(labels)))


@quick
@given(st.lists(st.integers(0, 1), min_size=1, max_size=80), seeds)
def test_repeats_count_the_earlier_visits_of_a_row(labels: list[int], seed: int) -> None:
    rows, repeats = Sampler(len(labels), seed, labels=np.array(labels)).epoch(0)
    for row in set(rows):
        assert sorted(repeats[rows == row]) == list(range((rows == row).sum()))


def test_rows_of_an_incomplete_turn_differ_from_epoch_to_epoch() -> None:
    sampler = Sampler(40, labels=np.array([0] * 25 + [1] * 15))
    extra = [set(rows[repeats == 1]) for rows, repeats in map(sampler.epoch, range(2))]
    assert [len(rows) for rows in extra] == [10, 10]
    assert extra[0] != extra[1]


@pytest.mark.parametrize(
    "other", [Sampler(100, 4), Sampler(100, 3 + 2**32), Sampler(100, 2**64 - 1), Sampler(100, -2)]
)
def test_seeds_differ(other: Sampler) -> None:
    assert other.epoch(0)[0].tolist() != Sampler(100, 3).epoch(0)[0].tolist()


def test_large_seeds_that_are_neighbours_differ() -> None:
    assert Sampler(100, 2**63 + 1).epoch(0)[0].tolist() != Sampler(100, 2**63 + 2).epoch(0)[0].tolist()


def test_epochs_differ() -> None:
    drawn = {tuple(Sampler(50).epoch(epoch)[0]) for epoch in range(20)}
    assert len(drawn) == 20


def test_the_shuffle_of_a_seed_never_changes() -> None:
    assert Sampler(10, seed=1).epoch(2)[0].tolist() == [1, 4, 5, 0, 7, 6, 8, 2, 3, 9]
