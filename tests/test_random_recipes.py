"""Any valid recipe of up to six random steps: what loaders give has the declared form, and is repeatable."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import RecipeError
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.dali import DaliLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.lowering import check_sizes, output_size, sizing_point, template
from fastffdi.recipe.recipe import parse
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step, TooSmall
from fastffdi.render.device.stage import DeviceStage

pytestmark = pytest.mark.usefixtures("one_thread")

END = {"normalize": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}
CPU = torch.device("cpu")

chance = st.sampled_from([0, 0.3, 0.5, 1])
side = st.integers(8, 40)
size = st.tuples(side, side).map(list)
odd = st.sampled_from([1, 3, 5])
fill = st.sampled_from([0, 128])
interpolation = st.sampled_from(["nearest", "bilinear"])
around_one = st.sampled_from([0, 0.2, 0.9])

#: For every step that stands alone, its parameters.
PARAMETERS = {
    "resize": {"size": side | size},
    "center_crop": {"size": size},
    "random_crop": {"size": size, "pad_if_needed": st.booleans(), "fill": fill},
    "random_resized_crop": {"size": size},
    "five_crop": {"size": size},
    "ten_crop": {"size": size, "vertical_flip": st.booleans()},
    "pad": {
        "padding": st.integers(0, 5),
        "padding_mode": st.sampled_from(["constant", "edge", "reflect", "symmetric"]),
    },
    "horizontal_flip": {"p": chance},
    "vertical_flip": {"p": chance},
    "random_rotation": {"degrees": st.integers(0, 180), "interpolation": interpolation, "fill": fill},
    "random_affine": {
        "degrees": st.integers(0, 90),
        "shear": st.integers(0, 20),
        "interpolation": interpolation,
    },
    "random_perspective": {"distortion_scale": chance, "p": chance, "interpolation": interpolation},
    "color_jitter": {"brightness": around_one, "contrast": around_one, "hue": st.sampled_from([0, 0.3])},
    "grayscale": {},
    "random_grayscale": {"p": chance},
    "random_invert": {"p": chance},
    "random_posterize": {"bits": st.integers(1, 7), "p": chance},
    "random_solarize": {"threshold": st.integers(0, 255), "p": chance},
    "random_equalize": {"p": chance},
    "random_autocontrast": {"p": chance},
    "gaussian_blur": {"kernel_size": odd},
    "random_adjust_sharpness": {"sharpness_factor": st.sampled_from([0, 0.5, 2]), "p": chance},
    "jpeg_compression": {"quality": st.sampled_from([[30, 90], [75, 75]])},
    "gaussian_noise": {"mean": st.sampled_from([0, 0.1])},
    "random_erasing": {"p": chance},
    "auto_augment": {
        "policy": st.sampled_from(["imagenet", "cifar10", "svhn"]),
        "interpolation": interpolation,
    },
    "rand_augment": {"num_ops": st.integers(0, 2), "interpolation": interpolation},
    "trivial_augment_wide": {"interpolation": interpolation},
    "aug_mix": {"mixture_width": st.integers(1, 2)},
}


def alone(name: str) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries(PARAMETERS[name]).map(lambda parameters: {name: parameters})


def combined(inner: st.SearchStrategy[dict]) -> st.SearchStrategy[dict]:
    """A step that is made of one to three others."""
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda steps, p: {"random_apply": {"transforms": steps, "p": p}}, some, chance),
        st.builds(lambda steps: {"random_choice": {"transforms": steps}}, some),
        st.builds(lambda steps: {"random_order": {"transforms": steps}}, some),
    )


single = st.sampled_from(sorted(PARAMETERS)).flatmap(alone)
step = st.recursive(single, combined, max_leaves=4)
repeatable = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@st.composite
def recipes(draw: st.DrawFn) -> tuple[Step, ...]:
    """Steps, resolved: up to six of any kind, brought to one size somewhere, in an order that is allowed."""
    entries = draw(st.lists(step, min_size=1, max_size=5))
    sizing = draw(st.sampled_from(["resize", "center_crop", "random_resized_crop"]))
    entries.insert(draw(st.integers(0, len(entries))), {sizing: {"size": draw(size)}})
    try:
        return parse({"train": [*entries, END], "eval": [{"resize": {"size": [8, 8]}}, END]}, "x").train
    except RecipeError:
        assume(False)
        raise


def planner(image_files: Manifest, steps: tuple[Step, ...], batch_size: int) -> BatchPlanner:
    return BatchPlanner(image_files, Sampler(len(image_files), 5), CounterRNG(5), steps, batch_size)


def by_row(loader: CpuLoader | DaliLoader, steps: tuple[Step, ...]) -> dict[int, torch.Tensor]:
    """Each row's image as the loader gives it, after checks of its form before and behind the stage."""
    program, stage, found = template(steps), DeviceStage(CPU, torch.float32), {}
    with closing(loader):
        for batch in loader.epoch(1):
            assert batch.images.dtype == torch.uint8
            out = stage(batch)
            assert out.shape == (len(batch) * program.views, 3, *output_size(program))
            assert out.dtype == torch.float32
            assert out.isfinite().all()
            found.update(zip(batch.rows.tolist(), batch.images.clone(), strict=True))
    return found


def same(ours: dict[int, torch.Tensor], theirs: dict[int, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[row], theirs[row]) for row in ours)


@pytest.fixture(scope="module")
def few(image_files: Manifest) -> Manifest:
    """Seven of the images."""
    assert image_files.sizes is not None
    assert image_files.labels is not None
    return replace(
        image_files, names=image_files.names[:7], labels=image_files.labels[:7], sizes=image_files.sizes[:7]
    )


def fits(steps: tuple[Step, ...], image_files: Manifest) -> bool:
    """Whether all images are large enough for the steps."""
    assert image_files.sizes is not None
    try:
        check_sizes(steps, image_files.sizes)
    except TooSmall:
        return False
    return True


def test_every_step_takes_part() -> None:
    assert {*PARAMETERS, "random_apply", "random_choice", "random_order", "python", "normalize"} == set(STEPS)


@repeatable
@given(steps=recipes())
def test_the_cpu_loader_gives_the_declared_form_and_the_same_bits(
    few: Manifest, steps: tuple[Step, ...]
) -> None:
    assume(fits(steps, few))
    first = by_row(CpuLoader(planner(few, steps, 4), LoaderSettings(2)), steps)
    assert same(first, by_row(CpuLoader(planner(few, steps, 7), LoaderSettings(1)), steps))
    assert same(first, by_row(CpuLoader(planner(few, steps, 3), LoaderSettings(3)), steps))


@repeatable
@given(steps=recipes())
def test_the_dali_loader_gives_the_declared_form_and_the_same_bits(
    few: Manifest, steps: tuple[Step, ...]
) -> None:
    assume(fits(steps, few))
    try:
        first = by_row(DaliLoader(planner(few, steps, 4), LoaderSettings(2), CPU), steps)
    except RecipeError:  # what DALI cannot render before the sizing point is refused
        assume(False)
    assert same(first, by_row(DaliLoader(planner(few, steps, 7), LoaderSettings(1), CPU), steps))


def test_the_sizing_point_is_reached_in_every_recipe_tried() -> None:
    found = []

    @repeatable
    @given(steps=recipes())
    def check(steps: tuple[Step, ...]) -> None:
        found.append(sizing_point(template(steps)))

    check()
    assert None not in found
    assert np.ptp(found) > 0


#: Steps without thresholds, nearest pixels or statistics: along them a difference of 1 stays small.
SMOOTH = {
    "horizontal_flip": st.just({}),
    "random_rotation": st.just({"degrees": 30}),
    "random_affine": st.just({"degrees": 20, "shear": 10}),
    "random_perspective": st.just({"p": 1}),
    "color_jitter": st.just({"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1}),
    "gaussian_blur": st.just({"kernel_size": 3}),
}
chains = st.lists(
    st.sampled_from(sorted(SMOOTH)).flatmap(lambda name: SMOOTH[name].map(lambda p: {name: p})), max_size=5
)


def pixel_values(loader: CpuLoader | DaliLoader) -> torch.Tensor:
    """What the model is given, as pixel values, in the order of the rows."""
    stage, found = DeviceStage(CPU, torch.float32), {}
    with closing(loader):
        for batch in loader.epoch(1):
            images = stage(batch)
            found.update(zip(batch.rows.tolist(), images * (0.25 * 255), strict=True))
    return torch.stack([found[row] for row in sorted(found)])


@repeatable
@given(chain=chains)
def test_along_smooth_chains_all_renderers_stay_within_one_pixel_value(few: Manifest, chain: list) -> None:
    entries = [{"resize": {"size": [48, 40]}}, *chain, END]
    batches = planner(few, parse({"train": entries, "eval": entries}, "x").train, 4)
    one = LoaderSettings(threads=1)
    ours = pixel_values(CpuLoader(batches, one))
    for theirs in (CpuLoader(batches, one, beyond=False), DaliLoader(batches, one, CPU)):
        assert (ours - pixel_values(theirs)).abs().mean() <= 1
