import pytest

from fastffdi.errors import SettingError
from fastffdi.inference.canvas import output
from fastffdi.inference.pooling import POOL, Pool
from fastffdi.inference.views import Views, check_loader, manner, parsed, read_scales, viewing
from fastffdi.recipe.recipe import load, parse, shipped

KINDS = {"flip": 2, "five_crop": 5, "ten_crop": 10, "tiles:2": 4, "tiles:3": 9, "random:7": 7}


@pytest.mark.parametrize("text", KINDS)
def test_views_are_read_and_written(text):
    assert str(Views.parsed(text)) == text


def test_no_views_are_none():
    assert parsed(None) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("five_crops", "unknown, did you mean 'five_crop'"),
        ("", "unknown"),
        ("flip:2", "give flip alone"),
        ("tiles", "give tiles:N, how many"),
        ("tiles:1", "give tiles:N with N from 2 to 8"),
        ("tiles:9", "give tiles:N with N from 2 to 8"),
        ("random:0", "give random:N with N from 1 to 64"),
        ("random:1e3", "give random:N with N from 1 to 64"),
        ("random:²", "give random:N with N from 1 to 64"),
    ],
)
def test_what_are_no_views_is_told_in_one_line(text, problem):
    with pytest.raises(SettingError) as error:
        Views.parsed(text)
    assert str(error.value).startswith(f"--views {text}: {problem}")


@pytest.mark.parametrize("text", KINDS)
@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_takes_all_views_at_the_networks_size(name, text):
    recipe = load(name).resolve((224, 224), (0.5,) * 3, (0.25,) * 3)
    found = viewing(recipe, Views.parsed(text))
    assert found.views == KINDS[text]
    assert output(found.steps) == output(recipe.train if text.startswith("random") else recipe.eval)
    assert found.steps[-1] == recipe.eval[-1]


def test_without_views_a_recipe_stays_as_it_is():
    recipe = load("ten_crop_eval").resolve((224, 224), (0.5,) * 3, (0.25,) * 3)
    found = viewing(recipe, None)
    assert (found.steps, found.draws, found.views) == (recipe.eval, 1, 10)


END = {"normalize": {"mean": "imagenet", "std": "imagenet"}}
SIZED = [{"resize": {"size": [32, 32]}}]


def test_random_views_run_no_code_that_a_checkpoint_names():
    inner = {"random_apply": {"transforms": [{"python": "os.path:join"}]}}
    recipe = parse({"train": [*SIZED, inner, END], "eval": [*SIZED, END]}, "its recipe", code=True)
    recipe = recipe.resolve((32, 32), (0.5,) * 3, (0.5,) * 3)
    with pytest.raises(
        SettingError, match=r"^--views random:2: the checkpoint's training recipe calls os\.path:"
    ):
        viewing(recipe, Views.parsed("random:2"))
    assert viewing(recipe, Views.parsed("flip")).views == 2


def test_an_image_larger_than_any_is_refused():
    large = [{"resize": {"size": [20_000, 20_000]}}, END]
    recipe = parse({"train": large, "eval": large}, "its recipe").resolve((32, 32), (0.5,) * 3, (0.5,) * 3)
    assert viewing(recipe, Views.parsed("flip")).views == 2
    with pytest.raises(SettingError, match=r"^--views tiles:2: images of 40000×40000 are too large"):
        viewing(recipe, Views.parsed("tiles:2"))
    with pytest.raises(SettingError, match=r"^--scales 4: images of 80000×80000 are too large"):
        viewing(recipe, None, 4.0)


@pytest.mark.parametrize("values", [(), (0.1,), (5,), (float("nan"),), (1, 1.0)])
def test_scales_out_of_range_and_twice_are_refused(values):
    with pytest.raises(SettingError, match=r"^--scales"):
        read_scales(values)


def test_the_manner_of_scores_is_one_spelling():
    assert manner(None, POOL, (1.0,)) == ""
    assert manner(Views("tiles", 2), Pool("topk", 3), (0.75, 1.0)) == (
        "--views tiles:2 --pool topk:3 --scales 0.75,1"
    )


def test_the_torchvision_loader_makes_no_views():
    check_loader(None, "torchvision")
    check_loader(Views("flip"), "dali")
    with pytest.raises(SettingError, match=r"^--views flip: --loader torchvision makes no views"):
        check_loader(Views("flip"), "torchvision")
