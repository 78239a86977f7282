"""What becomes of recipes that are made to give larger images, crops and tiles."""

import pytest
from recipes import NORMALIZE, normalised, step

from fastffdi.inference.canvas import enlarged, in_middle, larger, output, tiled
from fastffdi.recipe.recipe import load, shipped

RESIZE, CUT = step("resize", size=[224, 192]), step("center_crop", size=224)
JITTER, FIVE = step("color_jitter", hue=0.1), step("five_crop", size=224)


def named(steps):
    """Steps in words, without the normalize at the end: `resize 256×256`."""
    assert steps[-1] == NORMALIZE
    sizes = (getattr(one, "size", None) for one in steps[:-1])
    words = ("×".join(map(str, size)) if isinstance(size, tuple) else size for size in sizes)
    return [
        one.name() if size is None else f"{one.name()} {size}"
        for one, size in zip(steps[:-1], words, strict=True)
    ]


LARGER = [
    ((step("resize", size=[224, 224]),), ["resize 256×256", "five_crop 224×224"]),
    ((step("resize", size=[224, 224]), JITTER), ["resize 256×256", "five_crop 224×224", "color_jitter"]),
    ((step("resize", size=256), CUT), ["resize 256", "center_crop 256×256", "five_crop 224×224"]),
    ((step("resize", size=224), CUT), ["resize 256", "center_crop 256×256", "five_crop 224×224"]),
    ((step("resize", size=[240, 260]), CUT), ["resize 240×260", "five_crop 224×224"]),
    ((CUT,), ["center_crop 256×256", "five_crop 224×224"]),
    (
        (step("random_crop", size=224, pad_if_needed=True),),
        ["random_crop 224×224", "resize 256×256", "five_crop 224×224"],
    ),
    (
        (step("resize", size=[192, 240]), CUT),
        ["resize 192×240", "center_crop 224×224", "resize 256×256", "five_crop 224×224"],
    ),
]


@pytest.mark.parametrize(("steps", "words"), LARGER, ids=lambda one: "" if isinstance(one, tuple) else None)
def test_crops_are_cut_out_of_somewhat_larger_images(steps, words):
    assert named(larger(normalised(*steps), FIVE)) == words


def test_crops_keep_the_resizes_interpolation():
    steps = larger(normalised(step("resize", size=[224, 224], interpolation="bicubic")), FIVE)
    assert steps[0].interpolation == "bicubic"


TILED = [
    ((RESIZE,), ["resize 448×384", "tiles 224×192"]),
    ((step("resize", size=256), CUT, JITTER), ["resize 448×448", "tiles 224×224", "color_jitter"]),
    ((JITTER, CUT), ["color_jitter", "resize 448×448", "tiles 224×224"]),
    ((step("pad", padding=4), CUT), ["resize 448×448", "tiles 224×224"]),
]


@pytest.mark.parametrize(("steps", "words"), TILED, ids=lambda one: "" if isinstance(one, tuple) else None)
def test_tiles_are_of_the_whole_image(steps, words):
    assert named(tiled(normalised(*steps), 2)) == words


def test_views_that_a_recipe_makes_itself_become_one():
    steps = normalised(step("resize", size=[256, 256]), step("ten_crop", size=224))
    assert named(in_middle(steps)) == ["resize 256×256", "center_crop 224×224"]
    assert named(larger(in_middle(steps), FIVE)) == ["resize 256×256", "five_crop 224×224"]
    tiles = normalised(step("resize", size=[64, 64]), step("tiles", size=32))
    assert named(in_middle(tiles)) == ["resize 64×64", "resize 32×32"]
    assert in_middle(normalised(RESIZE, step("flip_views"))) == normalised(RESIZE)


ENLARGED = [
    ((RESIZE,), 1.0, ["resize 224×192"]),
    ((RESIZE,), 0.75, ["resize 160×160"]),
    ((RESIZE,), 1.25, ["resize 288×256"]),
    ((RESIZE,), 0.25, ["resize 64×64"]),
    ((step("resize", size=256), CUT), 0.75, ["resize 183", "center_crop 160×160"]),
    ((CUT,), 2.0, ["center_crop 448×448"]),
    ((step("random_resized_crop", size=160), JITTER), 0.8, ["random_resized_crop 128×128", "color_jitter"]),
]


@pytest.mark.parametrize(("steps", "scale", "words"), ENLARGED, ids=lambda one: str(one)[:4])
def test_all_sizes_are_scaled_to_multiples_of_32(steps, scale, words):
    assert named(enlarged(normalised(*steps), scale)) == words


def test_padding_is_scaled_along_its_axes():
    steps = normalised(step("resize", size=[64, 96]), step("pad", padding=[16, 32]))
    (resize, pad, _) = enlarged(steps, 2.0)
    assert (resize.size, pad.padding, output(enlarged(steps, 2.0))) == (
        (128, 192),
        (32, 64, 32, 64),
        (256, 256),
    )


def test_what_does_not_scale_is_resized_at_the_end():
    inner = step("random_apply", transforms=[step("center_crop", size=64)], p=1)
    steps = normalised(step("resize", size=[64, 64]), inner)
    assert named(enlarged(steps, 2.0))[-1] == "resize 128×128"
    assert output(enlarged(steps, 2.0)) == (128, 128)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_gives_the_size_asked_for(name, scale):
    recipe = load(name).resolve((224, 224), (0.5,) * 3, (0.25,) * 3)
    for steps in (recipe.train, recipe.eval):
        height, width = output(steps)
        found = output(enlarged(steps, scale))
        assert scale != 1 or found == (height, width)
        assert scale == 1 or all(side % 32 == 0 for side in found)
        assert abs(found[0] - scale * height) <= 16
        assert abs(found[1] - scale * width) <= 16
