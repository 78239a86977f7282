"""What holds for every single step, with the parameters of its parity cases."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parity_cases import CASES

from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step

quick = settings(max_examples=10, deadline=None)
every_step = pytest.mark.parametrize("step", [case.step for case in CASES.values()], ids=CASES)
every_chance = pytest.mark.parametrize(
    "step", [case.step for case in CASES.values() if hasattr(case.step, "p")], ids=lambda step: step.name()
)


def drawn(step: Step, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and sizes for n images that are large enough for all cases."""
    rng = np.random.default_rng(seed)
    return rng.random((n, step.draws)), rng.integers(350, 900, (n, 2)).astype(np.int32)


@every_step
def test_a_step_survives_being_stored(step: Step) -> None:
    ((name, parameters),) = step.to_data().items()
    assert STEPS[name].read(parameters) == step


@every_step
@quick
@given(st.integers(1, 9), st.integers(0, 2**32))
def test_the_kernels_are_those_declared_with_a_row_for_every_view(step: Step, n: int, seed: int) -> None:
    kernels = step.lower(*drawn(step, n, seed))
    assert tuple(map(type, kernels)) == tuple(step.kernels)
    rows = n * step.views
    assert all(len(value) == rows for kernel in kernels for value in kernel.arrays().values())


@every_step
@quick
@given(st.integers(2, 9), st.integers(0, 2**32))
def test_a_image_is_lowered_the_same_alone(step: Step, n: int, seed: int) -> None:
    u, size = drawn(step, n, seed)
    views = slice(step.views, 2 * step.views)
    for whole, alone in zip(step.lower(u, size), step.lower(u[1:2], size[1:2]), strict=True):
        for name, value in alone.arrays().items():
            assert np.array_equal(value, whole.arrays()[name][views])


@every_step
def test_what_needs_no_size_reads_none(step: Step) -> None:
    u, size = drawn(step, 5, 0)
    if not step.needs_size:
        for known, unknown in zip(step.lower(u, size), step.lower(u, np.full_like(size, -1)), strict=True):
            assert all(np.array_equal(a, unknown.arrays()[name]) for name, a in known.arrays().items())


@every_chance
@pytest.mark.parametrize("p", [0, 0.3, 1])
def test_a_step_is_done_with_its_probability(step: Step, p: float) -> None:
    u = np.full((100, step.draws), 0.5)
    u[:, 0] = [*np.arange(99) / 100, np.nextafter(1, 0)]
    (kernel,) = replace(step, p=p).lower(u, np.full((100, 2), 400, np.int32))
    assert kernel.is_identity == [bool(k >= 100 * p) for k in range(100)]


def test_names_are_those_of_the_recipe() -> None:
    assert all(one.name() == name for name, one in STEPS.items())


def test_every_step_is_said_in_a_line() -> None:
    assert all(one.__doc__ and one.__doc__.splitlines()[0][-1] in ".:" for one in STEPS.values())
