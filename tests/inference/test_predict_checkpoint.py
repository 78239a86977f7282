"""The recipe in a checkpoint, and what of it is refused."""

import numpy as np
import pytest
from predictors import predictor_of, scored

from fastffdi.errors import RecipeError, SettingError
from fastffdi.model import checkpoint
from fastffdi.recipe.recipe import load
from fastffdi.training.folder import BEST

pytestmark = pytest.mark.usefixtures("one_thread")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(SettingError, match="no such file; give one that `fastffdi train` wrote"):
        predictor_of(tmp_path / "absent.safetensors")


def test_the_recipe_is_the_checkpoints_own(best, tiny):
    predictor = predictor_of(best)
    recipe = load(str(tiny / "recipe.yaml")).resolve((1, 1), (0.0,) * 3, (1.0,) * 3)
    assert predictor.recipe.eval == recipe.eval


def test_a_checkpoint_whose_recipe_is_not_understood_is_named(best, tmp_path):
    described, model = checkpoint.restore(best)
    described.recipe["eval"].insert(0, {"blur_faces": {}})
    checkpoint.save(described, model, tmp_path / "newer.safetensors")
    with pytest.raises(RecipeError, match=r"newer\.safetensors: its recipe: eval\[0\]: unknown step"):
        predictor_of(tmp_path / "newer.safetensors")


MODULE = "ran_by_the_checkpoint"


def with_recipe(best, tmp_path, part, *entries):
    """The checkpoint with more steps, after the first, in a part of its recipe."""
    described, model = checkpoint.restore(best)
    described.recipe[part][1:1] = entries
    checkpoint.save(described, model, tmp_path / "other.safetensors")
    return tmp_path / "other.safetensors"


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A file that is there once the module MODULE has been imported."""
    (tmp_path / f"{MODULE}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef f(x): return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ran"


def test_functions_of_a_checkpoints_training_steps_are_never_imported(best, val, tmp_path, trap, expected):
    path = with_recipe(best, tmp_path, "train", {"python": f"{MODULE}:f"})
    assert scored(path, val) == pytest.approx(expected, abs=1e-6)
    assert not trap.exists()


def test_a_recipe_that_names_a_function_for_training_predicts_without_it(tiny_run, val, expected, tmp_path):
    described, model = checkpoint.restore(tiny_run.settings.output / BEST)
    described.recipe["train"].insert(1, {"python": "no_such_module:dark"})
    checkpoint.save(described, model, tmp_path / "own.safetensors")
    np.testing.assert_allclose(scored(tmp_path / "own.safetensors", val), expected, atol=1e-5)


@pytest.mark.parametrize("inner", [False, True])
def test_a_function_in_a_checkpoints_evaluation_steps_is_refused_unrun(best, tmp_path, trap, inner):
    step = {"python": f"{MODULE}:f"}
    entry = {"random_apply": {"transforms": [step]}} if inner else step
    path = with_recipe(best, tmp_path, "eval", entry)
    line = (
        rf"other\.safetensors: its recipe: eval: python: {MODULE}:f: a checkpoint keeps these steps, and runs"
    )
    with pytest.raises(RecipeError, match=line):
        predictor_of(path)
    assert not trap.exists()


DEEP: object = "vertical_flip"
for _ in range(50):
    DEEP = {"random_apply": {"transforms": [DEEP]}}
BOMBS = {
    "wide": ["vertical_flip"] * 5000,
    "deep": [DEEP],
    "many mistakes": [{"x\n\x1b[2J" * 500: {}}] * 50,
    "huge": [{"resize": {"size": [10**9, 10**9]}}],
    "no step": [None, 3, [], "x"],
    "orders": [{"random_order": {"transforms": ["vertical_flip"] * 16}}],
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_checkpoints_recipe_that_is_a_bomb_is_refused_in_one_line(best, tmp_path, kind):
    with pytest.raises(RecipeError, match=r"other\.safetensors: its recipe: eval") as error:
        predictor_of(with_recipe(best, tmp_path, "eval", *BOMBS[kind]))
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1500
