import numpy as np
import pytest
from recipes import step

from fastffdi.recipe.kernels import (
    Flip,
    Kernel,
    Matrix,
    Normalize,
    Resize,
    Table,
    Views,
    Warp,
    Window,
)
from fastffdi.recipe.lowering import (
    check_sizes,
    lower,
    lower_around,
    needs_sizes,
    output_size,
    sizing_point,
    template,
    template_around,
)
from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step, TooSmall
from fastffdi.render.cpu.renderer import render

N = 12
SIZES = np.tile(np.array([[61, 83]], np.int32), (N, 1))


RESIZE, SHORT = step("resize", size=[40, 56]), step("resize", size=40)
FLIPS = step("horizontal_flip"), step("vertical_flip")
CROP, RANDOM_CROP = step("center_crop", size=32), step("random_crop", size=32)
RRC, TURN = step("random_resized_crop", size=32), step("random_rotation", degrees=30)
JITTER, END = step("color_jitter", hue=0.2), step("normalize", mean=[0, 0, 0], std=[1, 1, 1])

END_KERNEL = Normalize((0, 0, 0), (1, 1, 1))


class Shift(Step):
    """By 5 pixels, which does not commute with a turn."""

    kernels = (Warp,)

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        return [Warp(np.tile(np.array([[1.0, 0, 5], [0, 1, 0], [0, 0, 1]]), (len(u), 1, 1)))]


def planned(*steps: Step, n: int = N) -> Program:
    return lower(steps, CounterRNG(1), 0, np.arange(n), np.zeros(n, np.int64), SIZES[:n])


def planned_around(barrier: int, *steps: Step) -> tuple[Program, Program]:
    return lower_around(steps, barrier, CounterRNG(1), 0, np.arange(N), np.zeros(N, np.int64), SIZES)


def unfused(*steps: Step) -> Program:
    """The kernels of every step as they come."""
    kernels, size = [], SIZES
    numbers = CounterRNG(1).steps(0, np.arange(N), np.zeros(N, np.int64), [s.draws.total for s in steps])
    for one, u in zip(steps, numbers, strict=True):
        kernels += one.lower(u, size)
        size = kernels[-1].out_size(size)
    return Program.of(kernels)


def kinds(program: Program) -> list[type[Kernel]]:
    return [type(kernel) for kernel in program.kernels]


FUSED = [
    # steps, kernels that come of them
    ((RESIZE, *FLIPS), [Resize]),
    ((RRC, *FLIPS), [Resize]),
    ((*FLIPS, FLIPS[0]), [Flip]),
    ((CROP, *FLIPS), [Window]),
    ((*FLIPS, CROP), [Window]),
    ((*FLIPS, step("pad", padding=[3, 1, 8, 2]), FLIPS[0], RANDOM_CROP, FLIPS[1]), [Window]),
    ((RANDOM_CROP, RESIZE, *FLIPS), [Resize]),
    ((FLIPS[0], RANDOM_CROP, FLIPS[1], RRC), [Resize]),
    ((step("center_crop", size=90), RANDOM_CROP), [Window]),
    ((step("pad", padding=9, padding_mode="reflect"), RANDOM_CROP, *FLIPS), [Window]),
    ((CROP, step("random_crop", size=40, pad_if_needed=True)), [Window, Window]),
    ((step("pad", padding=3), RESIZE), [Window, Resize]),
    ((step("random_solarize", threshold=90), step("random_posterize", bits=3)), [Table]),
]


@pytest.mark.parametrize(("steps", "fused"), FUSED)
def test_fusing_changes_no_pixel(steps: tuple[Step, ...], fused: list, paint) -> None:
    program, plain = planned(*steps), unfused(*steps)
    assert kinds(program) == fused
    image = paint(61, 83, 5)
    for i in range(N):
        assert np.array_equal(render(image, program, i), render(image, plain, i))


@pytest.mark.parametrize("steps", [case[0] for case in FUSED])
def test_a_barrier_between_any_two_steps_changes_no_pixel(steps: tuple[Step, ...], paint) -> None:
    plain, image = unfused(*steps), paint(61, 83, 5)
    expected = [render(image, plain, i) for i in range(N)]
    for barrier in range(len(steps) + 1):
        prefix, program = planned_around(barrier, *steps)
        assert all(
            np.array_equal(render(render(image, prefix, i), program, i), expected[i]) for i in range(N)
        )


@pytest.mark.parametrize("barrier", range(6))
def test_a_barrier_leaves_the_kernels_of_either_side(barrier: int) -> None:
    steps = (RANDOM_CROP, FLIPS[0], RESIZE, JITTER, END)
    whole = [Window, Flip, Resize, Matrix]
    prefix, program = planned_around(barrier, *steps)
    assert kinds(prefix) == [[], [Window], [Window], [Resize], [Resize, Matrix], [Resize, Matrix]][barrier]
    assert kinds(program) == [[Resize, Matrix], whole[2:], whole[2:], [Matrix], [], []][barrier]
    assert prefix.normalize == (END_KERNEL if barrier == 5 else None)
    assert program.normalize == (None if barrier == 5 else END_KERNEL)
    fixed = template_around(steps, barrier)
    assert tuple(map(kinds, fixed)) == (kinds(prefix), kinds(program))
    assert [one.normalize for one in fixed] == [prefix.normalize, program.normalize]


def test_a_flip_before_a_resize_becomes_its_region_but_for_the_rounding(paint) -> None:
    steps = (FLIPS[0], RESIZE, FLIPS[1])
    program, plain = planned(*steps), unfused(*steps)
    assert kinds(program) == [Resize]
    image = paint(61, 83, 5)
    for i in range(N):
        ours, theirs = (render(image, made, i).astype(int) for made in (program, plain))
        assert np.abs(ours - theirs).max() <= 1


def test_flips_of_the_tested_rows_are_of_all_four_kinds() -> None:
    flip = planned(*FLIPS).kernels[0]
    assert len(set(zip(*flip.arrays().values(), strict=True))) == 4


def test_consecutive_warps_are_one_with_the_product_of_their_matrices() -> None:
    (warp,) = planned(Shift(), TURN).kernels
    first, then = unfused(Shift(), TURN).kernels
    point = np.array([10.0, 20.0, 1.0])
    assert np.allclose(warp.matrix[3] @ point, first.matrix[3] @ (then.matrix[3] @ point))


@pytest.mark.parametrize("other", [{"fill": 7}, {"interpolation": "nearest"}])
def test_warps_that_differ_in_a_fixed_parameter_are_not_fused(other: dict) -> None:
    assert kinds(planned(TURN, step("random_rotation", degrees=30, **other))) == [Warp, Warp]


def test_colours_never_fuse_across_their_clamp() -> None:
    assert kinds(planned(JITTER, JITTER)) == [Matrix, Matrix]


def test_a_program_does_not_depend_on_the_rest_of_the_batch() -> None:
    steps = (RRC, FLIPS[0], TURN, JITTER, END)
    whole, few = planned(*steps).take(slice(0, 3)), planned(*steps, n=3)
    for ours, theirs in zip(few.kernels, whole.kernels, strict=True):
        assert all(np.array_equal(ours.arrays()[k], theirs.arrays()[k]) for k in theirs.arrays())


RECIPES = [
    # steps, kernels but Normalize, sizing point, final size, sizes needed
    ((RESIZE, *FLIPS, JITTER, END), [Resize, Matrix], 1, (40, 56), False),
    ((SHORT, CROP, END), [Resize, Window], 2, (32, 32), True),
    ((RRC, FLIPS[0], END), [Resize], 1, (32, 32), True),
    ((JITTER, CROP, END), [Matrix, Window], 2, (32, 32), True),
    ((RESIZE, RANDOM_CROP, END), [Resize, Window], 1, (32, 32), False),
    ((*FLIPS, RESIZE, END), [Resize], 1, (40, 56), False),
    ((RANDOM_CROP, FLIPS[0], RESIZE, END), [Resize], 1, (40, 56), True),
    ((RESIZE, TURN, TURN, END), [Resize, Warp], 1, (40, 56), False),
    ((TURN, RESIZE, END), [Warp, Resize], 2, (40, 56), True),
    ((RESIZE, SHORT, END), [Resize, Resize], 1, (40, 56), False),
]


@pytest.mark.parametrize(("steps", "kernels", "point", "size", "needed"), RECIPES)
def test_what_a_recipe_alone_tells(
    steps: tuple, kernels: list, point: int, size: tuple, needed: bool
) -> None:
    program = template(steps)
    assert kinds(program) == kernels
    assert program.normalize == Normalize((0, 0, 0), (1, 1, 1))
    assert sizing_point(program) == point
    assert output_size(program) == size
    assert needs_sizes(steps) is needed


@pytest.mark.parametrize("steps", [recipe[0] for recipe in RECIPES])
def test_the_template_has_the_kernels_of_every_batch(steps: tuple[Step, ...]) -> None:
    assert kinds(template(steps)) == kinds(planned(*steps))
    assert template(steps).normalize == planned(*steps).normalize


@pytest.mark.parametrize("steps", [(SHORT, END), (JITTER, END), (*FLIPS, TURN, END), (END,)])
def test_recipes_that_never_reach_one_size_have_no_sizing_point(steps: tuple[Step, ...]) -> None:
    assert sizing_point(template(steps)) is None


@pytest.mark.parametrize("steps", [recipe[0] for recipe in RECIPES if not recipe[-1]])
def test_where_sizes_are_not_needed_they_change_nothing(steps: tuple[Step, ...]) -> None:
    blind = lower(steps, CounterRNG(1), 0, np.arange(N), np.zeros(N, np.int64), None)
    for ours, theirs in zip(blind.kernels, planned(*steps).kernels, strict=True):
        assert all(np.array_equal(ours.arrays()[k], theirs.arrays()[k]) for k in theirs.arrays())


#: Of every kind that needs no size; all but the resize keep the size, so that it is unknown throughout.
BLIND = (
    *FLIPS,
    JITTER,
    step("random_posterize", bits=3),
    step("random_equalize"),
    step("random_autocontrast"),
    step("gaussian_blur", kernel_size=[3, 5]),
    step("random_adjust_sharpness", sharpness_factor=2),
    step("jpeg_compression", quality=[30, 90], p=0.5),
    step("gaussian_noise", sigma=[0, 0.1]),
    step("random_apply", transforms=(FLIPS[0], JITTER), p=0.5),
    step("random_choice", transforms=(step("random_invert"), step("grayscale"))),
    step("random_order", transforms=(step("random_solarize", threshold=90), FLIPS[1])),
)


@pytest.mark.parametrize("last", [(), (RESIZE, RANDOM_CROP, TURN)])
def test_unknown_sizes_pass_through_the_steps_that_need_none(last: tuple[Step, ...], paint) -> None:
    steps = (*BLIND, *last, END)
    assert not needs_sizes(steps)
    rows, repeats = np.arange(N), np.zeros(N, np.int64)
    blind, seeing = lower(steps, CounterRNG(1), 0, rows, repeats, None), planned(*steps)
    assert kinds(blind) == kinds(seeing)
    assert blind.normalize == seeing.normalize == END_KERNEL
    image = paint(61, 83, 5)
    for i in range(N):
        assert np.array_equal(render(image, blind, i), render(image, seeing, i))


def test_a_size_stays_unknown_until_a_kernel_sets_it() -> None:
    size = None
    for kernel in planned(*BLIND).kernels:
        size = kernel.out_size(size)
        assert size is None
    (resize,) = planned(RESIZE).kernels
    assert resize.out_size(size).tolist() == [[40, 56]] * N


def test_an_image_too_small_for_a_step_is_refused_by_the_name_of_the_step() -> None:
    with pytest.raises(ValueError, match=r"^random_crop: 62×62 does not fit an image of 61×83; set pad_if_"):
        planned(JITTER, step("random_crop", size=62))


#: Only the second of three sizes is too small, and only once the resize is drawn for it.
CHANCY = [step("horizontal_flip"), step("resize", size=30)]
MANY = np.array([[60, 200], [60, 200], [40, 200], [60, 60], [60, 60], [40, 200]], np.int32)


@pytest.mark.parametrize("inner", [CHANCY, CHANCY[::-1]])
def test_of_many_images_tried_many_times_the_one_that_is_too_small_is_found(inner: list[Step]) -> None:
    steps = step("random_choice", transforms=inner), step("random_crop", size=[30, 50])
    line = r"^random_crop: 30×50 does not fit an image of 30×30;"
    with pytest.raises(TooSmall, match=line) as error:
        check_sizes(steps, MANY)
    assert error.value.index == 3
    check_sizes(steps, MANY[[0, 1, 2, 5]])


@pytest.mark.parametrize("rows", [[3, 0, 2], [0, 3, 2], [0, 2, 3], [0, 3, 3]])
def test_the_image_that_is_too_small_is_found_wherever_it_stands(rows: list[int]) -> None:
    crop = (RESIZE, JITTER, step("random_crop", size=30)), (step("random_crop", size=[30, 70]),)
    check_sizes(crop[0], MANY[rows])
    with pytest.raises(TooSmall, match=r"^random_crop: 30×70 does not fit an image of 60×60;") as error:
        check_sizes(crop[1], MANY[rows])
    assert error.value.index == rows.index(3)
    with pytest.raises(TooSmall) as error:
        lower(crop[1], CounterRNG(1), 0, np.arange(3), np.zeros(3, np.int64), MANY[rows])
    assert error.value.index == rows.index(3)


FIVE = step("five_crop", size=32)


def test_after_several_views_each_has_its_own_numbers() -> None:
    program = planned(RESIZE, FLIPS[0], FIVE, FLIPS[1], JITTER, END, n=4)
    assert kinds(program) == [Resize, Views, Window, Matrix]
    _, _, window, matrix = program.kernels
    assert (len(window.start), len(window.vertical), len(matrix.matrix)) == (20, 20, 20)
    assert len(np.unique(matrix.matrix, axis=0)) == 20


def test_the_numbers_of_a_view_do_not_depend_on_the_rest_of_the_batch() -> None:
    steps = (RESIZE, FIVE, JITTER, END)
    whole, few = planned(*steps).kernels[3], planned(*steps, n=3).kernels[3]
    assert np.array_equal(whole.matrix[:15], few.matrix)
