"""Fixtures of the tests of a loader in a process: what it plans, and a child on threads."""

import pytest
from process_batches import RECIPE
from threaded_child import on_threads

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process import loader as process
from fastffdi.recipe.rng import CounterRNG


@pytest.fixture
def planner(image_files: Manifest) -> BatchPlanner:
    return BatchPlanner(image_files, Sampler(len(image_files), 3), CounterRNG(3), RECIPE, 4)


@pytest.fixture
def threaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_start", on_threads)
