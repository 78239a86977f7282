"""Work done before it is asked for: in which thread, how far ahead, and where its errors surface."""

import threading
import time
from collections.abc import Generator, Iterator

import pytest
from recipes import NORMALIZE

from fastffdi.data.manifest import Manifest
from fastffdi.loaders.ahead import begun, one_ahead, planned
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS
from fastffdi.render.split import Split


def until(condition: object) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.001)


def test_items_come_in_their_order() -> None:
    assert list(one_ahead(range(7))) == list(range(7))
    assert list(one_ahead([])) == []


def test_the_next_item_and_no_other_is_made_in_another_thread_while_one_is_in_use() -> None:
    made, threads = [], set()

    def items() -> Iterator[int]:
        for k in range(4):
            made.append(k)
            threads.add(threading.get_ident())
            yield k

    ahead = one_ahead(items())
    assert next(ahead) == 0
    until(lambda: len(made) == 2)
    time.sleep(0.02)
    assert made == [0, 1]
    assert list(ahead) == [1, 2, 3]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_surfaces_at_the_turn_of_its_item() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    ahead = one_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="the second"):
        next(ahead)


def test_dropping_it_ends_its_thread() -> None:
    before = set(threading.enumerate())
    ahead = one_ahead(range(100))
    next(ahead)
    (thread,) = set(threading.enumerate()) - before
    ahead.close()
    thread.join(30)
    assert not thread.is_alive()


def test_its_own_thread_may_close_it() -> None:
    ahead, outcome = None, []

    def items() -> Iterator[int]:
        yield 1
        until(lambda: ahead is not None and not ahead.gi_running)
        try:
            outcome.append(ahead.close())
        except RuntimeError as error:
            outcome.append(error)
        yield 2

    one = one_ahead(items())
    assert next(one) == 1
    ahead = one
    until(lambda: outcome)
    assert outcome == [None]


def test_begun_runs_to_the_first_yield_at_once() -> None:
    done = []

    def items() -> Generator[int | None, None, None]:
        done.append("begun")
        yield None
        yield 5

    generator = begun(items())
    assert done == ["begun"]
    assert list(generator) == [5]


def test_plans_are_divided_and_what_remains_is_packed(image_files: Manifest) -> None:
    steps = (STEPS["resize"]((40, 48)), STEPS["color_jitter"].read({"brightness": 0.4}), NORMALIZE)
    planner = BatchPlanner.over(image_files, steps, LoaderSettings(1, 8))
    items = list(planned(planner, Split(1), 3, 1))
    assert [item.plan.rows.tolist() for item in items] == [plan.rows.tolist() for plan in planner.epoch(3, 1)]
    for plan, rendered, remaining in items:
        assert rendered.kernels == plan.program.kernels[:1]
        assert remaining.kernels == plan.program.kernels[1:]
        assert remaining.normalize is plan.program.normalize
        assert "packed" in vars(remaining)
