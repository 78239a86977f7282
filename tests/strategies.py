"""What hypothesis draws: recipes, chains of kernels, samplers."""

import numpy as np
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from recipes import END

from fastffdi.data.sampler import Sampler
from fastffdi.errors import RecipeError
from fastffdi.recipe.kernels import Flip, Kernel, Window
from fastffdi.recipe.recipe import parse
from fastffdi.recipe.steps.base import Step

# Entries of recipes.

chance = st.sampled_from([0, 0.3, 0.5, 1])
side = st.integers(8, 40)
size = st.tuples(side, side).map(list)
odd = st.sampled_from([1, 3, 5])
fill = st.sampled_from([0, 128, [0, 128, 255]])
resampling = st.sampled_from(["bilinear", "bicubic"])
interpolation = st.sampled_from(["nearest", "bilinear"])
around_one = st.sampled_from([0, 0.2, 0.9])

#: For every step that stands alone, its parameters.
PARAMETERS = {
    "resize": {"size": side | size, "interpolation": resampling},
    "center_crop": {"size": size},
    "random_crop": {"size": size, "pad_if_needed": st.booleans(), "fill": fill},
    "random_resized_crop": {"size": size, "interpolation": resampling},
    "five_crop": {"size": size},
    "ten_crop": {"size": size, "vertical_flip": st.booleans()},
    "flip_views": {},
    "tiles": {"size": size, "grid": st.integers(2, 3)},
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


#: Steps without random numbers, with which what is cached begins.
DETERMINISTIC = ["resize", "center_crop", "pad", "grayscale"]


@st.composite
def beginnings(draw: st.DrawFn) -> tuple[Step, ...]:
    """Up to three deterministic steps, then up to four of any kind, brought to one size somewhere."""
    first = draw(st.lists(st.sampled_from(DETERMINISTIC).flatmap(alone), min_size=1, max_size=3))
    rest = draw(st.lists(step, max_size=4))
    rest.insert(draw(st.integers(0, len(rest))), {"random_resized_crop": {"size": draw(size)}})
    try:
        return parse({"train": [*first, *rest, END], "eval": [{"resize": {"size": [8, 8]}}, END]}, "x").train
    except RecipeError:
        assume(False)
        raise


# Kernels of one image.


def one(*values: object, dtype: type = np.int32) -> np.ndarray:
    return np.array([values], dtype)


flips = st.builds(lambda h, v: Flip(np.array([h]), np.array([v])), st.booleans(), st.booleans())


@st.composite
def index_maps(draw: st.DrawFn, height: int, width: int, padded: bool) -> list[Kernel]:
    """One to six windows and flips of an image so large; windows may reach outside it where `padded`."""
    kernels: list[Kernel] = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            kernels.append(draw(flips))
            continue
        inside = not padded or draw(st.booleans())
        top, left = (draw(st.integers(0 if inside else -5, side // 4)) for side in (height, width))
        lower, right = (draw(st.integers(0 if inside else -5, side // 4)) for side in (height, width))
        height, width = height - top - lower, width - left - right
        mode = draw(st.sampled_from(["constant", "edge", "reflect", "symmetric"]))
        kernels.append(Window(one(top, left), one(height, width), 9, mode, inside))
    return kernels


# Samplers.

seeds = st.integers(-(2**63), 2**64 - 1)
epochs = st.integers(0, 1000)


@st.composite
def samplers(draw: st.DrawFn) -> Sampler:
    rows = draw(st.integers(2, 60))
    classes = st.lists(st.integers(0, 2), min_size=rows, max_size=rows).map(np.array)
    labels = draw(st.none() | classes)
    world = draw(st.integers(1, 5))
    rank = draw(st.integers(0, world - 1))
    return Sampler(rows, draw(seeds), draw(st.booleans()), labels, rank, world)
