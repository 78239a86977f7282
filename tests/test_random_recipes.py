"""Any valid recipe of up to six random steps: what loaders give has the declared form, and is repeatable."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from recipes import END
from strategies import PARAMETERS, recipes, repeatable

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

CPU = torch.device("cpu")


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
