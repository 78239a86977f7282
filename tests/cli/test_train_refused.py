"""Recipes and options that `train` refuses."""

import pytest
import torch
from commands import refused


def recipe_of(folder, step, evaluation=None):
    end = "resize: {size: [32, 32]}, normalize: {mean: imagenet, std: imagenet}"
    (folder / "mine.yaml").write_text(f"train: [{step}, {end}]\neval: [{evaluation or step}, {end}]\n")
    return folder / "mine.yaml"


def test_an_unknown_step(train, tmp_path, output):
    recipe = recipe_of(tmp_path, "horizontal_flop", "vertical_flip")
    line = refused(train(pipeline=recipe), output)
    assert line == f"{recipe}: train[0]: unknown step 'horizontal_flop', did you mean 'horizontal_flip'?"


def test_mistakes_of_a_recipe_are_reported_together(train, tmp_path, output):
    recipe = recipe_of(tmp_path, "horizontal_flop")
    recipe.write_text(recipe.read_text() + "mix: {mixup: -1}\n")
    code, out, err = train(pipeline=recipe)
    assert (code, out, output.exists()) == (2, "", False)
    hint = "unknown step 'horizontal_flop', did you mean 'horizontal_flip'?"
    assert err.splitlines() == [
        f"fastffdi: {recipe}: train[0]: {hint}",
        f"{recipe}: eval[0]: {hint}",
        f"{recipe}: mix: mixup: -1 is negative; 0 turns it off",
    ]


def test_an_unknown_parameter(train, tmp_path, output):
    recipe = recipe_of(tmp_path, "horizontal_flip: {prob: 0.5}", "vertical_flip")
    line = refused(train(pipeline=recipe), output)
    assert line.startswith(f"{recipe}: train[0]: horizontal_flip: unknown parameter 'prob'")


def test_an_unknown_recipe(train, output):
    line = refused(train(pipeline="standart"), output)
    assert line.startswith("--pipeline standart: ")
    assert line.endswith(", did you mean 'standard'?")


def test_an_image_too_small_for_the_recipe(train, tiny, tmp_path, output):
    recipe = recipe_of(tmp_path, "random_crop: {size: [50, 50]}")
    assert "random_crop: 50×50 does not fit an image of" in refused(train(pipeline=recipe), output)


def test_an_unknown_backbone(train, output):
    line = refused(train("--backbone", "efficentnet_b0"), output)
    assert line.startswith("unknown backbone 'efficentnet_b0', did you mean 'efficientnet_b0' or ")


def test_weights_that_are_not_there(train, tmp_path, output):
    assert f"{tmp_path}/absent.pth: " in refused(train("--weights", tmp_path / "absent.pth"), output)


def test_cuda_that_is_absent(train, output, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = refused(train("--device", "cuda"), output)
    assert line.startswith(f"--device cuda: torch {torch.__version__} sees no CUDA devices here; take")


def test_dali_that_is_absent(train, output, monkeypatch):
    monkeypatch.setattr("fastffdi.loaders.factory.dali_problem", lambda: "DALI is not installed")
    line = refused(train("--loader", "dali"), output)
    assert line.startswith("--loader dali: DALI is not installed; pip install nvidia-dali-cuda1")


@pytest.mark.parametrize("option", ["--loader", "--amp", "--device"])
def test_a_word_that_is_no_choice(train, output, option):
    line = refused(train(option, "nonsense"), output)
    assert line.startswith(f"{option} nonsense: ")
