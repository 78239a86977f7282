"""Scores of several views: against a slow loop by torchvision, one image at a time."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from PIL import Image
from predictors import viewed

from fastffdi.errors import SettingError
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import checkpoint
from fastffdi.recipe.recipe import parse
from fastffdi.render.device.stage import DeviceStage

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
VIEWS = ["flip", "five_crop", "ten_crop", "tiles:2", "tiles:3", "random:3"]


def resized(image, side):
    return tv.resize(image, [side, side], antialias=True)


def tiles(image, grid):
    large = resized(image, 32 * grid)
    places = [(32 * row, 32 * column) for row in range(grid) for column in range(grid)]
    return [tv.crop(large, top, left, 32, 32) for top, left in places]


#: The views of an image (3, H, W), as one would write them with torchvision.
BY_HAND = {
    "flip": lambda image: [resized(image, 32), tv.horizontal_flip(resized(image, 32))],
    "five_crop": lambda image: tv.five_crop(resized(image, 37), [32, 32]),
    "ten_crop": lambda image: tv.ten_crop(resized(image, 37), [32, 32]),
    "tiles:2": lambda image: tiles(image, 2),
    "tiles:3": lambda image: tiles(image, 3),
}


@torch.no_grad()
def logits_of(path, images):
    """(views, 2) of uint8 images, each given to the model alone."""
    described, model = checkpoint.restore(path)
    normalize = parse(described.recipe, "").eval[-1]
    ready = [tv.normalize(image.float() / 255, normalize.mean, normalize.std)[None] for image in images]
    return torch.cat([model(image) for image in ready]).double()


def slow(path, manifest, view):
    """(images, views, 2) logits, by a loop over images and views."""
    opened = (Image.open(name).convert("RGB") for name in manifest.paths())
    images = [torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) for image in opened]
    return torch.stack([logits_of(path, view(image)) for image in images])


@pytest.fixture(scope="module")
def some(val):
    return val.take(np.arange(7))


@pytest.mark.parametrize("views", BY_HAND)
def test_pooled_scores_are_those_of_a_slow_loop(best, some, views):
    logits = slow(best, some, BY_HAND[views])
    fake, odds = logits.softmax(-1)[..., 1], logits[..., 1] - logits[..., 0]
    expected = {
        "mean": fake.mean(1),
        "logit": odds.mean(1).sigmoid(),
        "topk:2": fake.topk(2).values.mean(1),
    }
    assert fake.std(1).min() > 1e-5  # the views do differ
    for pool, scores in expected.items():
        np.testing.assert_allclose(viewed(best, some, views=views, pool=pool), scores, atol=1e-6)


def test_random_views_are_the_images_of_training(best, some):
    described, model = checkpoint.restore(best)
    recipe, settings = parse(described.recipe, ""), LoaderSettings(1, 7)
    planner, stage = (
        BatchPlanner.of_split(recipe, "train", some, settings, seed=5),
        DeviceStage(CPU, torch.float32),
    )
    loader = CpuLoader(planner, settings)
    draws = []
    for repeat in range(3):
        plan = planner.plan(0, np.arange(7), np.full(7, repeat))
        (batch,) = [loader._finish(loader._start(planned(plan, loader)))]
        with torch.no_grad():
            draws.append(model(stage(batch)).softmax(1)[:, 1])
    loader.close()
    found = viewed(best, some, views="random:3", seed=5)
    np.testing.assert_allclose(found, torch.stack(draws).mean(0), atol=1e-6)
    assert np.abs(found - viewed(best, some, views="random:3", seed=6)).max() > 1e-6


def planned(plan, loader):
    from fastffdi.loaders.ahead import Planned

    return Planned(plan, loader._split.loader(plan.program), loader._split.remaining(plan.program))


@pytest.mark.parametrize("views", VIEWS)
def test_views_of_one_image_never_leak_into_another(best, some, views):
    together = viewed(best, some, views=views, batch_size=7 * 10)
    for count in (1, 3, 17):
        np.testing.assert_allclose(viewed(best, some, views=views, batch_size=count), together, atol=1e-6)
    if views.startswith("random"):
        return  # whose draws depend on the row
    for k in range(len(some)):
        alone = viewed(best, some.take(np.array([k])), views=views)
        np.testing.assert_allclose(alone, together[k : k + 1], atol=1e-6)


@pytest.mark.parametrize("views", VIEWS)
def test_dali_gives_what_the_cpu_loader_does(best, some, views):
    found = viewed(best, some, views=views, backend="dali")
    np.testing.assert_allclose(found, viewed(best, some, views=views), atol=2e-2)
    assert np.abs(found - viewed(best, some, backend="dali")).max() > 1e-6


def test_several_sizes_are_pooled_with_the_views(best, some):
    def sizes(image):
        return [view for side in (32, 64) for view in (resized(image, side), resized(image, side).flip(2))]

    expected = slow(best, some, sizes).softmax(-1)[..., 1].topk(3).values.mean(1)
    found = viewed(best, some, views="flip", scales=(1, 2), pool="topk:3")
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_views_that_the_recipe_makes_itself_are_replaced(best, some, tmp_path):
    described, model = checkpoint.restore(best)
    described.recipe["eval"][1:1] = [{"ten_crop": {"size": 24}}]
    own = tmp_path / "ten.safetensors"
    checkpoint.save(described, model, own)

    def mirrored(image):
        cut = tv.center_crop(resized(image, 32), [24, 24])
        return [cut, cut.flip(2)]

    expected = slow(own, some, mirrored).softmax(-1)[..., 1].mean(1)
    np.testing.assert_allclose(viewed(own, some, views="flip"), expected, atol=1e-6)
    ten = slow(own, some, lambda image: tv.ten_crop(resized(image, 32), [24, 24])).softmax(-1)[..., 1]
    np.testing.assert_allclose(viewed(own, some), ten.mean(1), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"views": "flips"}, "--views flips: unknown"),
        ({"pool": "median"}, "--pool median: unknown"),
        ({"views": "flip", "pool": "topk:3"}, "--pool topk:3: an image has 2 views; give a lower number"),
        ({"pool": "topk:2"}, "--pool topk:2: an image has 1 view; give a lower number"),
        ({"scales": (1, 1.2)}, r"--scales 1,1\.2: for .* both are 32×32, as sizes are multiples of 32"),
        ({"views": "flip", "backend": "torchvision"}, "--views flip: --loader torchvision makes no views"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_work(best, val, given, problem):
    with pytest.raises(SettingError, match=f"^{problem}"):
        viewed(best, val, **given)


def test_a_backbone_of_one_size_takes_no_scales(best, val, monkeypatch):
    def fixed(model, size):
        raise SettingError("refused")

    monkeypatch.setattr("fastffdi.inference.member.check_input", fixed)
    with pytest.raises(SettingError, match=r"^--scales 2: the backbone of .* takes no images of 64×64"):
        viewed(best, val, scales=(1, 2))
