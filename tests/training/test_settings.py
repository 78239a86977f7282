import re
from pathlib import Path

import pytest

from fastffdi.data.layout import find_dataset
from fastffdi.errors import DataError, SettingError
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.training.settings import Settings


def test_the_demo_images_have_a_recipe_of_their_own_and_random_weights():
    settings = Settings()
    assert (settings.backbone, settings.pipeline, settings.pretrained) == ("efficientnet_b0", "demo", False)
    assert (settings.epochs, settings.learning_rate, settings.seed) == (5, 1e-3, 0)
    assert settings.loading == LoaderSettings()


def test_own_images_have_the_standard_recipe_and_pretrained_weights():
    settings = Settings(data="DIR")
    assert (settings.pipeline, settings.pretrained) == ("standard", True)


@pytest.mark.parametrize("data", [None, "DIR"])
def test_what_is_given_is_kept(data):
    for pretrained in (True, False):
        settings = Settings(pipeline="jitter", pretrained=pretrained, output=Path("there"), data=data)
        assert (settings.pipeline, settings.pretrained) == ("jitter", pretrained)
        assert settings.output == Path("there")


def test_the_folder_has_the_backbones_name_and_the_time():
    output = Settings("test_vit").output
    assert output.parent == Path("runs")
    assert re.fullmatch(r"test_vit-20\d{6}-\d{6}", output.name)


def test_paths_may_be_strings():
    settings = Settings(output="a", weights="b", cache="c")
    assert (settings.output, settings.weights, settings.cache) == (Path("a"), Path("b"), Path("c"))


def test_the_data_is_a_folders_the_demos_or_what_is_given(tiny, monkeypatch):
    data = find_dataset(tiny)
    assert Settings(data=data).dataset() is data
    assert Settings(data=str(tiny)).dataset().train.names.tolist() == data.train.names.tolist()
    monkeypatch.setattr("fastffdi.training.settings.demo_folder", lambda: tiny)
    assert Settings().dataset().val.names.tolist() == data.val.names.tolist()


def test_a_folder_that_is_not_there_is_refused():
    with pytest.raises(DataError, match="absent: no such folder"):
        Settings(data="absent").dataset()


def test_label_files_and_a_limit_are_settings_too(tiny):
    files = {
        f"{split}_{what}": str(tiny / f"{split}{end}")
        for split in ("train", "val")
        for what, end in (("labels", "set_label.txt"), ("images", "set"))
    }
    settings = Settings(**files, limit=8)
    assert (settings.pipeline, settings.pretrained, settings.demo) == ("standard", True, False)
    data = settings.dataset()
    assert (len(data.train), len(data.val)) == (8, 8)
    assert data.train.names.tolist() == find_dataset(tiny).limit(8, 0).train.names.tolist()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("epochs", 0, "a whole number from 1 on"),
        ("learning_rate", float("nan"), "a number above 0"),
        ("seed", -1, "a whole number from 0 on"),
        ("limit", 1, "a whole number from 2 on"),
        ("on_corrupt", "keep", "skip or fail"),
        ("max_corrupt", 1.5, "a number from 0 to 1"),
    ],
)
def test_a_value_out_of_range_is_refused(name, value, allowed):
    with pytest.raises(SettingError, match=f"^{name}: .* is not {allowed}$"):
        Settings(**{name: value})
