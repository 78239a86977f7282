import sys
from contextlib import closing
from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from process_batches import CPU, RECIPE, agree
from sync import nothing_waits
from threaded_child import late_copies

from fastffdi.errors import RecipeError, RunError
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process import loader as process
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

pytestmark = pytest.mark.usefixtures("one_thread")


# With the child's work on threads of this process.


@pytest.mark.usefixtures("threaded")
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=(Phase.generate,),  # no shrinking: a failure may be ten seconds without a report
)
@given(
    threads=st.integers(1, 3),
    prefetch=st.integers(0, 5),
    batch_size=st.sampled_from([1, 2, 3, 4, 7, 23, 30]),
    visits=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(1, 9)), max_size=5),
    late=st.booleans(),
)
def test_batches_are_the_cpu_loaders_whatever_came_before(
    planner: BatchPlanner, monkeypatch, threads, prefetch, batch_size, visits, late
) -> None:
    planner = replace(planner, batch_size=batch_size)
    found, expected = [], []
    with monkeypatch.context() as patch, closing(CpuLoader(planner, LoaderSettings(1))) as theirs:
        if late:
            patch.setattr(process, "copying", late_copies)
        with closing(ProcessLoader(planner, LoaderSettings(threads, prefetch=prefetch), CPU)) as ours:
            for epoch, start, count in (*visits, (1, 0, 99)):
                found += islice(ours.epoch(epoch, start), count)
                expected += islice(theirs.epoch(epoch, start), count)
    assert agree(found, expected)  # when closing has waited for the last copies


@pytest.mark.usefixtures("threaded")
def test_the_child_has_the_settings(planner: BatchPlanner) -> None:
    with closing(ProcessLoader(planner, LoaderSettings(3, prefetch=4), CPU)) as loader:
        inside = loader._child.worker._loader
        assert (inside._threads._pool._max_workers, inside._prefetch) == (3, 4)


@pytest.mark.usefixtures("threaded")
def test_a_batch_is_never_written_to_again(planner: BatchPlanner) -> None:
    with closing(ProcessLoader(planner, LoaderSettings(2, prefetch=0), CPU)) as loader:
        kept = [(batch.images, batch.images.clone()) for epoch in (0, 1) for batch in loader.epoch(epoch)]
    assert all(torch.equal(images, copy) for images, copy in kept)


@pytest.mark.usefixtures("threaded")
def test_without_beyond_it_stops_at_the_sizing_point(planner: BatchPlanner) -> None:
    with (
        closing(ProcessLoader(planner, LoaderSettings(1), CPU, beyond=False)) as ours,
        closing(CpuLoader(planner, LoaderSettings(1), beyond=False)) as theirs,
    ):
        batches = list(ours.epoch(0))
        assert {len(batch.remaining) for batch in batches} == {1}
        assert agree(batches, list(theirs.epoch(0)))


@pytest.mark.usefixtures("threaded")
def test_two_epochs_at_once_are_refused(planner: BatchPlanner) -> None:
    with closing(ProcessLoader(planner, LoaderSettings(1), CPU)) as loader:
        first = loader.epoch(0)
        next(first)
        next(loader.epoch(1))
        with pytest.raises(AssertionError, match="two epochs at once"):
            next(first)


@pytest.mark.usefixtures("threaded")
def test_after_closing_it_says_so(planner: BatchPlanner) -> None:
    loader = ProcessLoader(planner, LoaderSettings(1), CPU)
    batches = loader.epoch(0)
    next(batches)
    loader.close()
    loader.close()
    for go_on in (lambda: next(batches), lambda: loader.epoch(1)):
        with pytest.raises(RunError, match="--loader cpu: the loader is closed"):
            go_on()


# Without a child.


def test_a_recipe_it_cannot_render_is_refused_before_a_process_starts(
    planner: BatchPlanner, monkeypatch
) -> None:
    monkeypatch.setattr(process, "_start", None)
    function = STEPS["python"].read({"function": "os:getcwd"})
    with pytest.raises(RecipeError, match="--loader cpu cannot render Python"):
        ProcessLoader(replace(planner, steps=(function, *RECIPE)), LoaderSettings(1), CPU)


def test_a_program_that_cannot_be_started_is_reported(planner: BatchPlanner, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(RunError, match=r"its child process cannot be started .*; use --no-loader-process"):
        ProcessLoader(planner, LoaderSettings(1), CPU)


# On a GPU.


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@needs_cuda
def test_on_a_gpu_batches_arrive_whole_while_the_stream_is_behind(planner: BatchPlanner) -> None:
    device = torch.device("cuda", 0)
    with closing(CpuLoader(planner, LoaderSettings(1), beyond=False)) as loader:
        expected = [batch.images for epoch in (0, 1) for batch in loader.epoch(epoch)]
    with closing(ProcessLoader(planner, LoaderSettings(2), device, beyond=False)) as loader:
        kept = []
        with nothing_waits():
            for batch in (batch for epoch in (0, 1) for batch in loader.epoch(epoch)):
                torch.cuda._sleep(20_000_000)
                kept.append(batch.images + 0)
                del batch
    assert all(images.is_cuda for images in kept)
    assert all(torch.equal(a.cpu(), b) for a, b in zip(kept, expected, strict=True))
