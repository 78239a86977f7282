"""The policies as steps: their tables, weights, kernels, parameters."""

import re

import numpy as np
import pytest
import torch
from recipes import step
from scipy import stats
from torchvision.transforms import v2

from fastffdi.recipe.kernels import Blend
from fastffdi.recipe.lowering import needs_sizes, template
from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.operations import KINDS
from fastffdi.recipe.steps.policies import mixing_weights
from fastffdi.recipe.steps.subpolicies import SUBPOLICIES
from fastffdi.render.cpu.renderer import render

POLICIES = ("auto_augment", "rand_augment", "trivial_augment_wide", "aug_mix")
HEIGHT, WIDTH = 90, 130
#: Nothing here is left to chance, so this is how unlikely a difference must be to count as one.
CHANCE = 1e-3


def numbers(one: Step, n: int) -> np.ndarray:
    return CounterRNG(5).uniform(0, np.arange(n), np.zeros(n, np.int64), 2, one.draws.total)


def sizes(n: int) -> np.ndarray:
    return np.tile(np.array([[HEIGHT, WIDTH]], np.int32), (n, 1))


@pytest.mark.parametrize("policy", SUBPOLICIES)
def test_sub_policies_are_torchvisions(policy: str) -> None:
    assert list(SUBPOLICIES[policy]) == v2.AutoAugment(v2.AutoAugmentPolicy(policy))._policies


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_aug_mix_weights_are_distributed_as_dirichlets(alpha: float) -> None:
    u = CounterRNG(2).uniform(0, np.arange(4000), np.zeros(4000, np.int64), 0, 4)
    weights = mixing_weights(alpha, u[:, 0], u[:, 1:]).astype(float)
    assert np.abs(weights.sum(axis=1) - 1).max() < 1e-6
    assert stats.kstest(weights[:, 0], stats.beta(alpha, alpha).cdf).pvalue > CHANCE
    shares = weights[:, 1:] / weights[:, 1:].sum(axis=1, keepdims=True)
    for share in shares.T:
        assert stats.kstest(share, stats.beta(alpha, 2 * alpha).cdf).pvalue > CHANCE
    torch.manual_seed(3)
    theirs = torch._sample_dirichlet(torch.full((4000, 3), alpha)).numpy()
    assert stats.ks_2samp(shares.max(axis=1), theirs.max(axis=1)).pvalue > CHANCE


def test_weights_of_alpha_1_by_hand() -> None:
    """Beta(1, 1) is uniform, and Gamma(1) exponential: −log(1 − u)."""
    u = np.array([[0.2, 0.5, 0.9, 0.1], [0.7, 0.3, 0.3, 0.3]])
    parts = -np.log1p(-u[:, 1:])
    expected = np.column_stack([u[:, 0], (1 - u[:, :1]) * parts / parts.sum(axis=1, keepdims=True)])
    assert np.allclose(mixing_weights(1.0, u[:, 0], u[:, 1:]), expected)
    one = step("aug_mix")
    numbers_of_all = np.full((2, one.draws.total), 0.5)
    numbers_of_all[:, :4] = u
    (blend,) = one.lower(numbers_of_all, sizes(2))
    assert np.allclose(blend.weights, expected)


@pytest.mark.parametrize("alpha", [1e-3, 1, 1e3])
@pytest.mark.parametrize("end", [0.0, 1 - 2**-53])
def test_weights_stay_weights_at_the_ends(alpha: float, end: float) -> None:
    weights = mixing_weights(alpha, np.array([end]), np.full((1, 5), end))
    assert weights.shape == (1, 6)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("name", POLICIES)
def test_kernels_and_numbers_are_what_a_step_says(name: str) -> None:
    one = step(name)
    for u in (0.0, 0.5, 1 - 2**-53):
        kernels = one.lower(np.full((3, one.draws.total), u), sizes(3))
        assert tuple(map(type, kernels)) == one.kernels
    assert tuple(map(type, template([one]).kernels)) == one.kernels


def test_as_many_operations_as_are_asked_for() -> None:
    assert step("rand_augment", num_ops=4).kernels == KINDS * 4
    assert step("rand_augment", num_ops=0).lower(np.zeros((3, 0)), sizes(3)) == []
    (blend,) = step("aug_mix", mixture_width=2, chain_depth=5).lower(np.zeros((3, 35)), sizes(3))
    assert isinstance(blend, Blend)
    assert [len(branch) for branch in blend.branches] == [25, 25]
    assert blend.weights.shape == (3, 3)


@pytest.mark.parametrize("name", POLICIES)
def test_sizes_cost_nothing_after_a_resize(name: str) -> None:
    assert not needs_sizes([step("resize", size=[32, 40]), step(name)])
    assert needs_sizes([step(name)])


@pytest.mark.parametrize("name", POLICIES)
def test_an_image_does_not_depend_on_its_batch(name: str, paint) -> None:
    one, image = step(name), paint(HEIGHT, WIDTH, 6)
    u = numbers(one, 12)
    whole = Program(tuple(one.lower(u, sizes(12))))
    alone = Program(tuple(one.lower(u[7:8], sizes(1))))
    assert np.array_equal(render(image, whole, 7), render(image, alone, 0))
    assert np.array_equal(render(image, whole.take(slice(7, 8)), 0), render(image, alone, 0))


WRONG = [
    ("auto_augment", {"policy": "imagenette"}, "policy: 'imagenette' is not one of imagenet, cifar10, svhn"),
    ("rand_augment", {"num_ops": -1}, "num_ops: -1 is not from 0 to 16"),
    (
        "rand_augment",
        {"magnitude": 31},
        "magnitude: 31 is not from 0 to 30, one less than num_magnitude_bins",
    ),
    (
        "rand_augment",
        {"interpolation": "bicubic"},
        "interpolation: 'bicubic' is not one of nearest, bilinear",
    ),
    ("trivial_augment_wide", {"num_magnitude_bins": 1}, "num_magnitude_bins: 1 is not from 2 to 1000"),
    ("aug_mix", {"severity": 11}, "severity: 11 is not from 1 to 10"),
    ("aug_mix", {"chain_depth": 0}, "chain_depth: 0 is neither from 1 to 16 nor -1 for 1 to 3 at random"),
    ("aug_mix", {"alpha": 0}, "alpha: 0 is not above 0"),
    ("aug_mix", {"fill": 256}, "fill: 256 is not a pixel value between 0 and 255"),
]


@pytest.mark.parametrize(("name", "parameters", "line"), WRONG)
def test_wrong_parameters_are_refused_in_one_line(name: str, parameters: dict, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'{name}: {line}')}$"):
        step(name, **parameters)


@pytest.mark.parametrize("name", POLICIES)
def test_defaults_are_torchvisions(name: str) -> None:
    theirs = {
        "auto_augment": v2.AutoAugment(),
        "rand_augment": v2.RandAugment(),
        "trivial_augment_wide": v2.TrivialAugmentWide(),
        "aug_mix": v2.AugMix(),
    }[name]
    for parameter, value in step(name).to_data()[name].items():
        expected = getattr(theirs, parameter) or 0
        assert value == getattr(expected, "value", expected)
