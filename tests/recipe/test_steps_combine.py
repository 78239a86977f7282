"""Images after combined steps, on the CPU, against those after the steps inside, done or left out."""

import itertools
from collections import Counter

import numpy as np
import pytest
from recipes import step
from scipy.stats import chisquare

from fastffdi.recipe.kernels import Flip, Normalize, Python, Resize, Window
from fastffdi.recipe.lowering import check_sizes, lower, needs_sizes, output_size, sizing_point, template
from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step, TooSmall
from fastffdi.recipe.steps.combine import functions, placed
from fastffdi.render.cpu.renderer import render

N, HEIGHT, WIDTH = 40, 33, 47
SIZES = np.tile(np.array([[HEIGHT, WIDTH]], np.int32), (N, 1))


MIRROR, UPSIDE = step("horizontal_flip", p=1), step("vertical_flip", p=1)
DARK, TURN = step("color_jitter", brightness=[0.5, 0.5]), step("random_rotation", degrees=[90, 90])
POSTER, CROP = step("random_posterize", bits=2, p=1), step("center_crop", size=[20, 30])
SMALL = step("resize", size=[16, 24])
END = step("normalize", mean=[0, 0, 0], std=[1, 1, 1])


def numbers(step: Step, n: int = N, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((n, step.draws.total))


def lowered(step: Step, u: np.ndarray) -> Program:
    return Program(tuple(step.lower(u, SIZES[:1].repeat(len(u), axis=0))))


def rendered(step: Step, u: np.ndarray, paint) -> list[np.ndarray]:
    """Every image (row of u) after a step."""
    image, program = paint(HEIGHT, WIDTH, 1), lowered(step, u)
    return [render(image, program, i) for i in range(len(u))]


def after(steps: tuple[Step, ...], paint) -> np.ndarray:
    """The image after steps that leave nothing to chance, one by one."""
    image = paint(HEIGHT, WIDTH, 1)
    for one in steps:
        size = np.array([image.shape[:2]], np.int32)
        image = render(image, Program(tuple(one.lower(np.full((1, one.draws.total), 0.5), size))), 0)
    return image


def alike(images: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return all(map(np.array_equal, images, expected))


CHAINS = [(MIRROR,), (DARK, MIRROR), (TURN,), (POSTER, TURN, UPSIDE), (CROP,), (SMALL, DARK), (CROP, SMALL)]


@pytest.mark.parametrize("p", [0, 0.5, 1])
@pytest.mark.parametrize("chain", CHAINS)
def test_random_apply_does_all_or_nothing(chain: tuple[Step, ...], p: float, paint) -> None:
    apply = step("random_apply", transforms=chain, p=p)
    u = numbers(apply)
    done, left = after(chain, paint), paint(HEIGHT, WIDTH, 1)
    assert alike(rendered(apply, u, paint), [done if first < p else left for first in u[:, 0]])


@pytest.mark.parametrize("chain", CHAINS[:4])
def test_random_choice_does_one(chain: tuple[Step, ...], paint) -> None:
    choice = step("random_choice", transforms=(*chain, CROP), p=[1] * len(chain) + [2])
    u = numbers(choice)
    each = [after((one,), paint) for one in choice.transforms]
    places = np.minimum(np.floor(u[:, 0] * (len(chain) + 2)).astype(int), len(chain))
    assert alike(rendered(choice, u, paint), [each[place] for place in places])


def test_a_share_begins_where_the_one_before_it_ends() -> None:
    choice = step("random_choice", transforms=(MIRROR, UPSIDE), p=[1, 3])
    u = np.zeros((3, choice.draws.total))
    u[:, 0] = np.nextafter(0.25, 0), 0.25, 1 - 2**-53
    across, upright = lowered(choice, u).kernels
    assert across.horizontal.tolist() == [True, False, False]
    assert upright.vertical.tolist() == [False, True, True]


def test_random_order_does_all_in_every_order(paint) -> None:
    chain = (UPSIDE, TURN, DARK, POSTER)
    order = step("random_order", transforms=chain)
    u = np.linspace(0, 1 - 2**-53, 24)[:, None].repeat(order.draws.total, axis=1)
    expected = [after(chosen, paint) for chosen in itertools.permutations(chain)]
    assert alike(rendered(order, u, paint), expected)
    assert len({image.tobytes() for image in expected}) == 4


def test_a_random_order_may_crop_and_resize(paint) -> None:
    chain = (CROP, SMALL)
    first, last = rendered(step("random_order", transforms=chain), np.array([[0.0], [0.9]]), paint)
    assert np.array_equal(first, after((CROP, SMALL), paint))
    assert np.array_equal(last, after((SMALL, CROP), paint))


def test_steps_stand_inside_steps(paint) -> None:
    inner = step("random_apply", transforms=(TURN, DARK), p=0.5)
    outer = step("random_choice", transforms=(inner, UPSIDE))
    u = numbers(outer)
    plain = paint(HEIGHT, WIDTH, 1)
    of_inner = [after((TURN, DARK), paint) if second < 0.5 else plain for second in u[:, 1]]
    other = after((UPSIDE,), paint)
    expected = [a if first < 0.5 else other for first, a in zip(u[:, 0], of_inner, strict=True)]
    assert alike(rendered(outer, u, paint), expected)


def test_the_inner_steps_numbers_are_their_own() -> None:
    flips = step("horizontal_flip"), step("vertical_flip")
    apply = step("random_apply", transforms=flips, p=1)
    u = numbers(apply)
    across, upright = lowered(apply, u).kernels
    assert apply.draws.total == 3
    assert np.array_equal(across.horizontal, u[:, 1] < 0.5)
    assert np.array_equal(upright.vertical, u[:, 2] < 0.5)


@pytest.mark.parametrize("weights", [None, [1, 2, 5], [0.5, 0, 0.5], [0, 0, 3]])
def test_choices_are_as_frequent_as_their_weights(weights: list | None) -> None:
    choice = step("random_choice", transforms=(MIRROR, UPSIDE, DARK), p=weights)
    across, upright, colour = lowered(choice, numbers(choice, 20_000)).kernels
    dark = ~(colour.matrix == np.eye(3, 4)).all(axis=(1, 2))
    counts = np.array([across.horizontal.sum(), upright.vertical.sum(), dark.sum()])
    shares = np.array(weights or [1, 1, 1]) / sum(weights or [1, 1, 1])
    assert counts.sum() == 20_000
    assert (counts[shares == 0] == 0).all()
    if (shares > 0).sum() > 1:
        assert chisquare(counts[shares > 0], 20_000 * shares[shares > 0]).pvalue > 0.01


def test_orders_are_equally_frequent() -> None:
    order = step("random_order", transforms=(MIRROR, UPSIDE, DARK))
    kernels = lowered(order, numbers(order, 12_000)).kernels
    seen = np.stack([[not kernel.is_identity(i) for i in range(12_000)] for kernel in kernels], axis=1)
    counts = Counter(map(bytes, seen.astype(np.uint8)))
    assert len(counts) == 6
    assert {sum(members) for members in counts} == {3}
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_random_apply_is_as_frequent_as_p() -> None:
    apply = step("random_apply", transforms=(MIRROR,), p=0.3)
    assert lowered(apply, numbers(apply, 20_000)).kernels[0].horizontal.mean() == pytest.approx(0.3, abs=0.01)


# What is known of a recipe with combined steps before any image.

APPLIED = step("random_apply", transforms=(CROP,), p=0.001)
AGREED = step(
    "random_choice", transforms=(step("random_resized_crop", size=24), step("center_crop", size=24))
)
LARGE = step("resize", size=[64, 64])
TWO = step("random_choice", transforms=(SMALL, LARGE))
RARE = step("random_choice", transforms=(SMALL, LARGE, CROP), p=[1, 1e-9, 1e-9])
SHIFT = step("random_apply", transforms=(step("pad", padding=4), step("random_crop", size=[16, 24])))
TEMPLATES = [
    # steps, kernels but Normalize, sizing point, size, sizes needed
    ((APPLIED, SMALL, END), 2, 2, (16, 24), True),
    ((AGREED, END), 2, 2, (24, 24), True),
    ((TWO, CROP, END), 3, 3, (20, 30), True),
    ((RARE, APPLIED, CROP, SMALL, END), 6, 5, (16, 24), True),
    ((SMALL, SHIFT, END), 2, 1, (16, 24), False),
    ((step("random_apply", transforms=(DARK,)), SMALL, END), 2, 2, (16, 24), False),
    ((SMALL, step("random_apply", transforms=(TURN,)), END), 2, 1, (16, 24), False),
]


@pytest.mark.parametrize(("steps", "kernels", "point", "size", "needed"), TEMPLATES)
def test_what_a_recipe_alone_tells(steps: tuple, kernels: int, point: int, size: tuple, needed: bool) -> None:
    program = template(steps)
    assert program.normalize == Normalize((0, 0, 0), (1, 1, 1))
    assert (len(program), sizing_point(program), output_size(program)) == (kernels, point, size)
    assert needs_sizes(steps) is needed


@pytest.mark.parametrize(
    "steps", [(APPLIED, END), (TWO, END), (RARE, END), (TWO, APPLIED, END), (SMALL, TWO, APPLIED)]
)
def test_however_rare_another_size_is_there_is_no_sizing_point(steps: tuple[Step, ...]) -> None:
    assert sizing_point(template(steps)) is None


@pytest.mark.parametrize("steps", [example[0] for example in TEMPLATES])
def test_all_images_have_the_templates_size_and_kernels(steps: tuple[Step, ...], paint) -> None:
    program = lower(steps, CounterRNG(1), 0, np.arange(N), np.zeros(N, np.int64), SIZES)
    assert [type(kernel) for kernel in program.kernels] == [
        type(kernel) for kernel in template(steps).kernels
    ]
    shapes = {render(paint(HEIGHT, WIDTH, 1), program, i).shape[:2] for i in range(N)}
    assert shapes == {output_size(program)}


def test_a_flip_outside_fuses_with_a_resize_inside(paint) -> None:
    apply = step("random_apply", transforms=(LARGE,), p=0.5)
    program = lower((apply, MIRROR, SMALL), CounterRNG(1), 0, np.arange(N), np.zeros(N, np.int64), SIZES)
    assert [type(kernel) for kernel in program.kernels] == [Resize, Resize]
    made = {render(paint(HEIGHT, WIDTH, 1), program, i).tobytes() for i in range(N)}
    assert made == {after((MIRROR, SMALL), paint).tobytes(), after((LARGE, MIRROR, SMALL), paint).tobytes()}


def test_an_image_too_small_for_an_inner_step_is_found_however_rare_the_step() -> None:
    crop = step("random_choice", transforms=(step("random_crop", size=30), SMALL), p=[1e-9, 1])
    line = r"^random_choice: \[0\] random_crop: 30×30 does not fit an image of 29×90;"
    with pytest.raises(TooSmall, match=line) as error:
        check_sizes((crop,), np.array([[40, 40], [29, 90]], np.int32))
    assert error.value.index == 1


def test_an_image_that_only_chance_makes_too_small_is_found() -> None:
    steps = step("random_apply", transforms=(SMALL,), p=1e-9), step("random_crop", size=20)
    with pytest.raises(TooSmall, match=r"^random_crop: 20×20 does not fit an image of 16×24;"):
        check_sizes(steps, np.array([[40, 40], [50, 50]], np.int32))


def test_inner_steps_may_come_to_one_another_in_any_size() -> None:
    # At its place after the resize nobody is cropped, so that the crop must not be refused there.
    choice = step("random_choice", transforms=(SMALL, step("random_crop", size=30)))
    assert [type(kernel) for kernel in lowered(choice, numbers(choice)).kernels] == [Resize, Window]


# A function of one's own.


def test_a_function_is_named_and_not_called() -> None:
    own = step("python", function="no_such.module:function")
    (kernel,) = lowered(own, numbers(own)).kernels
    assert isinstance(kernel, Python)
    assert kernel.function == "no_such.module:function"
    assert kernel.chosen.all()


def test_functions_are_found_at_any_depth() -> None:
    own, other = step("python", function="a:b"), step("python", function="c.d:e")
    nested = step("random_apply", transforms=(step("random_order", transforms=(MIRROR, other)),))
    assert functions((own, MIRROR, nested)) == [own, other]


def test_functions_know_the_folder_of_their_recipe_which_is_not_written_down() -> None:
    own = step("python", function="a:b")
    steps = placed((step("random_apply", transforms=(own, MIRROR)), DARK, own), "/there")
    assert [found.folder for found in functions(steps)] == ["/there"] * 2
    assert lowered(steps[2], numbers(own)).kernels[0].folder == "/there"
    assert steps[2].to_data() == {"python": {"function": "a:b"}} == own.to_data()
    assert steps[1] is DARK
    with pytest.raises(ValueError, match="unknown parameter 'folder'"):
        STEPS["python"].read({"function": "a:b", "folder": "/there"})


@pytest.mark.parametrize("name", ["random_apply", "random_choice", "random_order"])
def test_needing_sizes_is_handed_on(name: str) -> None:
    assert not step(name, transforms=(MIRROR, DARK)).needs_size
    assert step(name, transforms=(MIRROR, TURN)).needs_size
    assert step(name, transforms=(SMALL,)).needs_size
    assert step(name, transforms=(MIRROR,)).kernels == (Flip,)
