import pytest
import yaml

from fastffdi.errors import RecipeError
from fastffdi.recipe import catalogue
from fastffdi.recipe.recipe import load, shipped
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Range


def test_every_step_is_there_with_its_meaning():
    entries = catalogue.steps()
    assert [entry.name for entry in entries] == list(STEPS)
    assert all(entry.meaning.endswith((".", ":")) and len(entry.meaning) < 110 for entry in entries)


def test_an_entry_reads_as_a_recipe_would():
    entries = {entry.name: str(entry) for entry in catalogue.steps()}
    assert entries["horizontal_flip"] == "horizontal_flip: {p: 0.5}"
    assert entries["random_resized_crop"].startswith(
        "random_resized_crop: {size: …, scale: [0.08, 1], ratio: [0.75,"
    )
    assert entries["grayscale"] == "grayscale"


def test_defaults_read_back_are_the_steps_own():
    for entry in catalogue.steps():
        if catalogue.REQUIRED not in entry.parameters.values():
            read = yaml.safe_load(str(entry)) if entry.parameters else {entry.name: {}}
            ((name, stored),) = STEPS[entry.name].read(read[entry.name]).to_data().items()
            assert (name, {key: catalogue.written(value) for key, value in stored.items()}) == (
                entry.name,
                entry.parameters,
            )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Range(-0.5, 2), "[-0.5, 2]"),
        ((1, 2.5), "[1, 2.5]"),
        (True, "true"),
        (None, "null"),
        (255, "255"),
        ("backbone", "backbone"),
    ],
)
def test_values_are_written_as_in_a_recipe(value: object, text: str):
    assert catalogue.written(value) == text


def test_recipes_come_with_the_first_sentence_of_their_comment():
    uses = catalogue.recipes()
    assert list(uses) == shipped()
    assert uses["standard"] == (
        "The default of `train`: faces that fill most of the image, a few epochs on one machine."
    )
    assert all(use.endswith(".") and "#" not in use for use in uses.values())


def test_the_text_of_a_recipe_is_its_file():
    data = yaml.safe_load(catalogue.text("jitter"))
    assert data["train"][3] == {"color_jitter": {"brightness": 0.5, "hue": 0.3}}
    assert len(data["train"]) == len(load("jitter").train)


def test_an_unknown_recipe_is_refused_with_the_nearest_name():
    with pytest.raises(
        RecipeError, match=r"^jiter: no shipped recipe has that name, did you mean 'jitter'\?$"
    ):
        catalogue.text("jiter")
