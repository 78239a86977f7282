"""What the policies choose, how often and how strong, and the images it makes, against torchvision's."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable

import numpy as np
import pytest
import torch
from recipes import step
from scipy import stats
from torchvision.transforms import v2

from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import policies
from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.operations import NAMES
from fastffdi.recipe.steps.subpolicies import SUBPOLICIES
from fastffdi.render.cpu.renderer import render

HEIGHT, WIDTH = 90, 130
#: Nothing here is left to chance, so this is how unlikely a difference must be to count as one.
CHANCE = 1e-3

#: What an operation was, and its magnitude.
Done = tuple[str, float]


def numbers(one: Step, n: int) -> np.ndarray:
    return CounterRNG(5).uniform(0, np.arange(n), np.zeros(n, np.int64), 2, one.draws.total)


def sizes(n: int) -> np.ndarray:
    return np.tile(np.array([[HEIGHT, WIDTH]], np.int32), (n, 1))


@pytest.fixture
def our_choices(monkeypatch: pytest.MonkeyPatch) -> Callable[[Step, int], list[list[Done]]]:
    """our_choices(step, n): the operations of each of n images, slot by slot."""
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    lowered = policies.lowered

    def spy(chosen: np.ndarray, magnitude: np.ndarray, *rest: object) -> list:
        seen.append((chosen, magnitude))
        return lowered(chosen, magnitude, *rest)

    def choices(one: Step, n: int) -> list[list[Done]]:
        seen.clear()
        one.lower(numbers(one, n), sizes(n))
        ((chosen, magnitude),) = seen
        images = zip(chosen.T.tolist(), magnitude.T.tolist(), strict=True)
        return [[done(NAMES[c], m) for c, m in zip(*of, strict=True)] for of in images]

    monkeypatch.setattr(policies, "lowered", spy)
    return choices


def their_choices(policy: v2.Transform, n: int, monkeypatch: pytest.MonkeyPatch) -> list[list[list[Done]]]:
    """torchvision's operations on each of n images, chain by chain: only AugMix has several."""
    seen: list[list[Done]] = []
    photo = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)

    def spy(self: object, image: torch.Tensor, name: str, magnitude: float, **rest: object) -> torch.Tensor:
        if image.data_ptr() == photo.data_ptr():
            seen.append([])
        seen[-1].append(done(name, magnitude))
        return torch.zeros_like(image)

    monkeypatch.setattr(v2.RandAugment.__mro__[1], "_apply_image_or_video_transform", spy)
    torch.manual_seed(1)
    images = []
    for _ in range(n):
        seen.clear()
        policy(photo)
        images.append([list(chain) for chain in seen])
    return images


def done(name: str, magnitude: float) -> Done:
    return name, round(float(magnitude), 5)


def assert_alike(ours: Iterable[Hashable], theirs: Iterable[Hashable]) -> None:
    """A χ² test that two samples have one distribution; rare kinds count as one."""
    a, b = Counter(ours), Counter(theirs)
    common = [kind for kind in a | b if a[kind] + b[kind] >= 12]
    table = np.array([[count[kind] for kind in common] for count in (a, b)])
    rest = [[count.total() - row.sum()] for count, row in zip((a, b), table, strict=True)]
    table = np.concatenate([table, rest], axis=1) if np.sum(rest) else table
    assert len(common) > 1
    assert stats.chi2_contingency(table).pvalue > CHANCE


@pytest.mark.parametrize("policy", SUBPOLICIES)
def test_auto_augment_chooses_as_torchvision(policy: str, our_choices, monkeypatch) -> None:
    ours = our_choices(step("auto_augment", policy=policy), 20_000)
    theirs = their_choices(v2.AutoAugment(v2.AutoAugmentPolicy(policy)), 4000, monkeypatch)
    real = [[one for one in slots if one[0] != "Identity"] for slots in ours]
    assert_alike(map(tuple, real), (tuple(chain[0]) if chain else () for chain in theirs))


def test_rand_augment_chooses_as_torchvision(our_choices, monkeypatch) -> None:
    ours = our_choices(step("rand_augment", num_ops=3, magnitude=7, num_magnitude_bins=12), 10_000)
    theirs = their_choices(v2.RandAugment(3, 7, 12), 2000, monkeypatch)
    for slot in range(3):
        assert_alike((of[slot] for of in ours), (of[0][slot] for of in theirs))
    assert_alike(((of[0][0], of[2][0]) for of in ours), ((of[0][0][0], of[0][2][0]) for of in theirs))


def test_trivial_augment_wide_chooses_as_torchvision(our_choices, monkeypatch) -> None:
    ours = our_choices(step("trivial_augment_wide"), 30_000)
    theirs = their_choices(v2.TrivialAugmentWide(), 6000, monkeypatch)
    assert_alike((of[0] for of in ours), (of[0][0] for of in theirs))
    assert_alike((of[0][0] for of in ours), (of[0][0][0] for of in theirs))


@pytest.mark.parametrize("all_ops", [True, False])
def test_aug_mix_chooses_as_torchvision(all_ops: bool, our_choices, monkeypatch) -> None:
    ours = our_choices(step("aug_mix", severity=4, all_ops=all_ops, mixture_width=2), 5000)
    theirs = their_choices(v2.AugMix(severity=4, all_ops=all_ops, mixture_width=2), 1000, monkeypatch)
    chains = [
        [one for one in of[first : first + 3] if one[0] != "Identity"] for of in ours for first in (0, 3)
    ]
    their_chains = [chain for of in theirs for chain in of]
    assert_alike(map(len, chains), map(len, their_chains))
    assert_alike((one for chain in chains for one in chain), (one for chain in their_chains for one in chain))


def test_chains_of_a_given_depth_are_full(our_choices) -> None:
    ours = our_choices(step("aug_mix", chain_depth=4, mixture_width=2), 200)
    assert all(len(of) == 8 and "Identity" not in dict(of) for of in ours)


def applied(image: np.ndarray, operations: list[Done], interpolation: str) -> np.ndarray:
    """torchvision's operations in turn."""
    policy, out = v2.RandAugment(), torch.from_numpy(image).permute(2, 0, 1)
    for name, magnitude in operations:
        how = v2.InterpolationMode(interpolation)
        out = policy._apply_image_or_video_transform(out, name, magnitude, how, policy._fill)
    return out.permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    ("name", "limit"), [("auto_augment", 1.5), ("rand_augment", 1.0), ("trivial_augment_wide", 0.7)]
)
def test_images_are_torchvisions_with_the_same_choices(name: str, limit: float, paint, our_choices) -> None:
    one, n, image = step(name, interpolation="bilinear"), 60, paint(HEIGHT, WIDTH, 4)
    choices, program = our_choices(one, n), Program(tuple(one.lower(numbers(one, n), sizes(n))))
    means = [
        np.abs(render(image, program, i).astype(int) - applied(image, choices[i], "bilinear")).mean()
        for i in range(n)
    ]
    assert max(means) <= limit


def test_an_aug_mix_is_the_weighted_mean_of_torchvisions_chains(paint, our_choices) -> None:
    one, n, image = step("aug_mix", all_ops=False, chain_depth=1), 20, paint(HEIGHT, WIDTH, 4)
    choices, (blend,) = our_choices(one, n), one.lower(numbers(one, n), sizes(n))
    for i in range(n):
        chains = [image, *(applied(image, [done], "bilinear") for done in choices[i])]
        mixed = np.tensordot(blend.weights[i].astype(float), np.stack(chains), 1).astype(int)
        assert np.abs(render(image, Program((blend,)), i) - mixed).max() <= 2
