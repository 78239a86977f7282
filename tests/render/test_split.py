from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import step

from fastffdi.errors import RecipeError
from fastffdi.recipe.kernels import Blend, Jpeg, Kernel, Matrix, Normalize, Python, Resize, Views, Warp
from fastffdi.recipe.lowering import lower, sizing_point, template, template_around
from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step
from fastffdi.render import dali
from fastffdi.render.cpu import renderer as cpu
from fastffdi.render.device import stage as device
from fastffdi.render.split import Split, described, split

N = 3


RESIZE, SHORT = step("resize", size=[40, 56]), step("resize", size=40)
CROP, TURN = step("center_crop", size=32), step("random_rotation", degrees=20)
JITTER = step("color_jitter", brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2)
END = step("normalize", mean=[0, 0, 0], std=[1, 1, 1])


Renders = Callable[[Kernel], bool]


def only(*kinds: type[Kernel]) -> Renders:
    return lambda kernel: type(kernel) in kinds


def everything(kernel: Kernel) -> bool:
    return True


@pytest.mark.parametrize(
    ("steps", "renders", "beyond", "count"),
    [
        ((RESIZE, TURN, JITTER, END), everything, True, 3),
        ((RESIZE, TURN, JITTER, END), everything, False, 1),
        ((RESIZE, TURN, JITTER, END), only(Resize, Matrix), True, 1),
        ((RESIZE, TURN, JITTER, END), only(Resize, Warp), True, 2),
        ((SHORT, CROP, JITTER, END), everything, False, 2),
        ((SHORT, JITTER, CROP, END), everything, False, 3),
        ((RESIZE, END), only(Resize, Normalize), True, 1),
    ],
)
def test_how_many_kernels_the_loader_renders(
    steps: tuple[Step, ...], renders: Renders, beyond: bool, count: int
) -> None:
    assert split(template(steps), renders, "mine", beyond) == Split(count)


def test_a_loader_that_cannot_reach_one_size_is_refused_by_the_kernel_it_lacks() -> None:
    line = "^--loader mine cannot render Window, which this recipe needs before all images have one size;"
    with pytest.raises(RecipeError, match=line):
        split(template((SHORT, CROP, END)), only(Resize), "mine")


@pytest.mark.parametrize(
    ("renders", "steps", "count"),
    [
        (dali.can_render, (RESIZE, JITTER, step("random_invert"), END), 2),
        (cpu.can_render, (RESIZE, JITTER, step("random_invert"), END), 3),
        (dali.can_render, (SHORT, CROP, step("pad", padding=3, padding_mode="edge"), END), 2),
        (dali.can_render, (RESIZE, step("random_rotation", degrees=9, fill=[1, 2, 3]), END), 1),
        (dali.can_render, (RESIZE, step("random_rotation", degrees=9, fill=[2, 2, 2]), END), 2),
        (cpu.can_render, (RESIZE, step("five_crop", size=20), JITTER, END), 1),
    ],
)
def test_what_a_renderer_lacks_ends_its_part(renders: Renders, steps: tuple[Step, ...], count: int) -> None:
    assert split(template(steps), renders, "mine") == Split(count)


def test_a_refusal_says_what_is_special_about_the_kernel() -> None:
    steps = step("pad", padding=3, padding_mode="edge"), CROP, END
    with pytest.raises(RecipeError, match="--loader dali cannot render Window with mode edge, which"):
        split(template(steps), dali.can_render, "dali")


@pytest.mark.parametrize(
    ("kernel", "text"),
    [
        (Jpeg(np.zeros(1, np.int32)), "Jpeg"),
        (Warp(np.eye(3)[None], "nearest", 5), "Warp with interpolation nearest and fill 5"),
        (Warp(np.eye(3)[None], fill=(1, 2, 3)), "Warp with fill (1, 2, 3)"),
    ],
)
def test_described(kernel: Kernel, text: str) -> None:
    assert described(kernel) == text


def test_every_kernel_has_both_renderers() -> None:
    kinds = set(Kernel.__subclasses__()) - {Normalize}
    assert set(device.KERNELS) | {Blend} == kinds
    assert device.can_render(Blend((), np.ones((1, 1), np.float32)))
    assert not device.can_render(Normalize((0, 0, 0), (1, 1, 1)))
    assert set(cpu.KERNELS) == kinds - {Views, Python}


later = st.sampled_from(
    [
        step("resize", size=[30, 44]),
        step("center_crop", size=[50, 28]),
        step("random_crop", size=[24, 60], pad_if_needed=True, fill=40),
        step("random_resized_crop", size=[36, 33], scale=[0.3, 1]),
        step("horizontal_flip"),
        step("vertical_flip"),
        TURN,
        step("random_rotation", degrees=[-180, 180], fill=90),
        JITTER,
        step("random_perspective", p=1, distortion_scale=0.3),
        step("pad", padding=[3, 0], padding_mode="reflect"),
        step("gaussian_blur", kernel_size=[3, 5]),
        step("gaussian_noise", sigma=[0, 0.1]),
        step("random_erasing"),
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(later, max_size=4), st.sampled_from([(RESIZE,), (SHORT, CROP)]), st.integers(0, 2**32))
def test_any_allowed_split_gives_the_same_images(paint, steps: list, first: tuple, seed: int) -> None:
    sizes = np.random.default_rng(seed).integers(40, 90, (N, 2)).astype(np.int32)
    sources = [paint(*size, seed % 997 + k) for k, size in enumerate(sizes.tolist())]
    program = lower((*first, *steps, END), CounterRNG(seed), 0, np.arange(N), np.zeros(N, np.int64), sizes)
    whole = rendered(sources, program, Split(len(program))).int()
    for count in range(sizing_point(template((*first, *steps, END))), len(program)):
        difference = (rendered(sources, program, Split(count)).int() - whole).abs()
        assert difference.float().mean() <= 0.6
        assert (difference > 2 * (len(program) - count)).float().mean() <= 0.002


def rendered(sources: list[np.ndarray], program: Program, divided: Split) -> torch.Tensor:
    """The images by the loader's part on the CPU, and by what remains as the DeviceStage does it."""
    head = divided.loader(program)
    x = torch.stack([torch.from_numpy(cpu.render(s, head, i).copy()) for i, s in enumerate(sources)])
    return device.render(x, divided.remaining(program).kernels)


def test_a_split_divides_a_program_and_leaves_normalising_to_what_remains() -> None:
    program = template((RESIZE, TURN, JITTER, END))
    for count in range(4):
        divided = Split(count)
        assert divided.count == count
        assert divided.loader(program) == Program(program.kernels[:count])
        assert divided.remaining(program) == Program(program.kernels[count:], program.normalize)
    assert program.normalize == Normalize((0, 0, 0), (1, 1, 1))


def test_all_of_a_program_is_rendered_where_everything_can_be() -> None:
    program = template((RESIZE, TURN, END))
    divided = split(program, everything, "mine")
    assert divided == Split(len(program))
    assert divided.remaining(program) == Program((), program.normalize)


@pytest.mark.parametrize(
    ("barrier", "beyond", "count"),
    [(0, False, 2), (1, False, 1), (2, False, 0), (3, False, 0), (0, True, 4), (1, True, 3), (3, True, 1)],
)
def test_what_was_applied_before_counts_towards_the_sizing_point(
    barrier: int, beyond: bool, count: int
) -> None:
    prefix, program = template_around((SHORT, CROP, JITTER, TURN, END), barrier)
    assert split(program, everything, "mine", beyond, prefix) == Split(count)


def test_what_was_applied_before_need_not_be_rendered() -> None:
    prefix, program = template_around((SHORT, CROP, JITTER, END), 2)
    assert split(program, only(Matrix), "mine", before=prefix) == Split(1)
    with pytest.raises(RecipeError, match="--loader mine cannot render Window"):
        split(*[template_around((SHORT, CROP, END), 1)[1], only(Matrix)], "mine", before=prefix.first(1))
