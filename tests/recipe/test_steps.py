"""What holds for every single step, with the parameters of its parity cases."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parity_cases import CASES

from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import NO_DRAWS, Draws, P, Step

quick = settings(max_examples=10, deadline=None)
every_step = pytest.mark.parametrize("step", [case.step for case in CASES.values()], ids=CASES)
every_chance = pytest.mark.parametrize(
    "step", [case.step for case in CASES.values() if hasattr(case.step, "p")], ids=lambda step: step.name()
)


def drawn(step: Step, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and sizes for n images that are large enough for all cases."""
    rng = np.random.default_rng(seed)
    return rng.random((n, step.draws.total)), rng.integers(350, 900, (n, 2)).astype(np.int32)


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
def test_an_image_is_lowered_the_same_alone(step: Step, n: int, seed: int) -> None:
    u, size = drawn(step, n, seed)
    views = slice(step.views, 2 * step.views)
    for whole, alone in zip(step.lower(u, size), step.lower(u[1:2], size[1:2]), strict=True):
        for name, value in alone.arrays().items():
            assert np.array_equal(value, whole.arrays()[name][views])


@every_step
def test_what_needs_no_size_reads_none(step: Step) -> None:
    u, size = drawn(step, 5, 0)
    if not step.needs_size:
        for known, unknown in zip(step.lower(u, size), step.lower(u, None), strict=True):
            assert all(np.array_equal(a, unknown.arrays()[name]) for name, a in known.arrays().items())


@every_chance
@pytest.mark.parametrize("p", [0, 0.3, 1])
def test_a_step_is_done_with_its_probability(step: Step, p: float) -> None:
    u = np.full((100, step.draws.total), 0.5)
    u[:, 0] = [*np.arange(99) / 100, np.nextafter(1, 0)]
    (kernel,) = replace(step, p=p).lower(u, np.full((100, 2), 400, np.int32))
    assert [kernel.is_identity(i) for i in range(100)] == [i >= 100 * p for i in range(100)]


def test_draws_are_split_by_name_in_order() -> None:
    draws, u = Draws(angle=1, center=2, none=0, scale=1), np.arange(12).reshape(3, 4) / 12
    parts = draws.split(u)
    assert draws.total == 4
    assert list(parts) == ["angle", "center", "none", "scale"]
    assert np.array_equal(parts["angle"], u[:, 0])
    assert np.array_equal(parts["center"], u[:, 1:3])
    assert parts["none"].shape == (3, 0)
    assert np.array_equal(parts["scale"], u[:, 3])


def test_one_number_is_a_row_and_several_are_columns() -> None:
    assert (P.total, NO_DRAWS.total, Draws(a=0).total) == (1, 0, 0)
    assert NO_DRAWS.split(np.zeros((3, 0))) == {}
    assert P.split(np.zeros((3, 1)))["p"].shape == (3,)
    assert P.split(np.zeros((0, 1)))["p"].shape == (0,)
    assert Draws(a=2).split(np.zeros((0, 2)))["a"].shape == (0, 2)


@every_step
def test_the_numbers_of_a_step_are_all_named(step: Step) -> None:
    u = np.random.default_rng(0).random((3, step.draws.total))
    parts = step.draws.split(u)
    columns = [part[:, None] if part.ndim == 1 else part for part in parts.values()]
    assert np.array_equal(np.concatenate([u[:, :0], *columns], axis=1), u)


def test_names_are_those_of_the_recipe() -> None:
    assert all(one.name() == name for name, one in STEPS.items())


def test_every_step_is_described_in_a_line() -> None:
    assert all(one.__doc__ and one.__doc__.splitlines()[0][-1] in ".:" for one in STEPS.values())
