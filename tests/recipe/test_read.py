"""Steps inside steps; those of a plain list are in test_recipe.py."""

import pytest
import yaml

from fastffdi.errors import RecipeError
from fastffdi.recipe.read import read_steps
from fastffdi.recipe.recipe import parse
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step

GOOD = [{"resize": {"size": [8, 8]}}, {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}}]

INNER_WRONG = [
    (
        "{random_apply: {transforms: [{blurr: {}}]}}",
        "train[1].random_apply[0]: unknown step 'blurr'; allowed: ",
    ),
    (
        "{random_choice: {transforms: [grayscale, {random_order: {transforms: [{vertical_flip: {p: 2}}]}}]}}",
        "train[1].random_choice[1].random_order[0]: vertical_flip: p: 2 is not a probability between 0 and 1",
    ),
    (
        "{random_apply: {transforms: [vertical_flip, normalize]}}",
        "train[1].random_apply[1]: normalize: cannot stand inside another step; it is the last of the recipe",
    ),
    (
        "{random_order: {transforms: [{five_crop: {size: 4}}]}}",
        "train[1].random_order[0]: five_crop: cannot stand inside another step, since it makes several "
        "images of each",
    ),
    (
        "{random_apply: {transforms: []}}",
        "train[1].random_apply: must be a list of steps, for example [resize: {size: 256}, normalize]",
    ),
    (
        "{random_apply: {p: 1}}",
        "train[1]: random_apply: parameter 'transforms' is missing; write random_apply: {transforms: …}",
    ),
    (
        "{random_choice: {transforms: [vertical_flip], p: [1, 2]}}",
        "train[1]: random_choice: p: 2 weights for 1 steps; give one each",
    ),
    (
        "{random_choice: {transforms: [vertical_flip], p: [0]}}",
        "train[1]: random_choice: p: [0] is not a list of weights, each at least 0 and not all 0",
    ),
    (
        f"{{random_order: {{transforms: [{', '.join(['vertical_flip'] * 5)}]}}}}",
        "train[1]: random_order: transforms: 5 steps are too many; give at most 4, since every step is "
        "prepared in every place",
    ),
    (
        f"{{random_apply: {{transforms: [{', '.join(['vertical_flip'] * 17)}]}}}}",
        "train[1].random_apply: at most 16 steps may stand inside another, and at most 3 deep",
    ),
    (
        "&a {random_apply: {transforms: [*a]}}",
        "train[1]"
        + ".random_apply[0]" * 3
        + ".random_apply: at most 16 steps may stand inside another, and at "
        "most 3 deep",
    ),
    ("{python: sqrt}", "train[1]: python: function: 'sqrt' is not module:function"),
    ("{python: {function: 'a b:c'}}", "train[1]: python: function: 'a b:c' is not module:function"),
]


@pytest.mark.parametrize(("step", "line"), INNER_WRONG)
def test_a_wrong_step_inside_another_is_refused_by_its_place(step: str, line: str) -> None:
    with pytest.raises(RecipeError) as error:
        read_steps(yaml.safe_load(f"[{{resize: {{size: [8, 8]}}}}, {step}, normalize]"), "train")
    assert str(error.value).removesuffix(", ".join(sorted(STEPS))) == line


def _read(entries: str) -> tuple[Step, ...]:
    return read_steps(yaml.safe_load(entries), "train")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("[RandomHorizontalFlip]", "[horizontal_flip]"),
        ("[random_horizontal_flip: {p: 0.2}]", "[horizontal_flip: {p: 0.2}]"),
        ("[random_vertical_flip]", "[vertical_flip]"),
        ("[jpeg: {quality: 50}]", "[jpeg_compression: {quality: 50}]"),
        ("[JPEG: {quality: 9}]", "[jpeg_compression: {quality: 9}]"),
        ("[FiveCrop: {size: 9}, Normalize]", "[five_crop: {size: 9}, normalize]"),
        ("[TrivialAugmentWide, RandAugment, AugMix]", "[trivial_augment_wide, rand_augment, aug_mix]"),
        ("[RandomApply: {transforms: [Grayscale]}]", "[random_apply: {transforms: [grayscale]}]"),
    ],
)
def test_torchvisions_names_are_read_as_ours(theirs: str, ours: str) -> None:
    assert _read(theirs) == _read(ours)
    assert [step.to_data() for step in _read(theirs)] == [step.to_data() for step in _read(ours)]


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (
            "RandomHorizontlFlip",
            "unknown step 'RandomHorizontlFlip', did you mean 'RandomHorizontalFlip'?",
        ),
        (
            "random_vertical_flop",
            "unknown step 'random_vertical_flop', did you mean 'random_vertical_flip'?",
        ),
        (
            "{RandomHorizontalFlip: {p: 2}}",
            "horizontal_flip: p: 2 is not a probability between 0 and 1",
        ),
        (
            "{ToDtype: {scale: true}}",
            "'ToDtype' is no step here: images are decoded to RGB, and normalize makes numbers of them; "
            "leave it out",
        ),
        (
            "compose",
            "'compose' is no step here: a recipe's list is one already; write the steps alone",
        ),
    ],
)
def test_a_name_that_is_nearly_torchvisions_is_refused_with_what_to_write(step: str, line: str) -> None:
    with pytest.raises(RecipeError) as error:
        _read(f"[{step}]")
    assert str(error.value) == f"train[0]: {line}"


NESTED = {
    "random_apply": {
        "transforms": [
            {
                "random_choice": {
                    "transforms": [{"center_crop": {"size": "backbone"}}, "grayscale"],
                    "p": [1, 2],
                }
            },
            {"random_order": {"transforms": ["horizontal_flip", {"color_jitter": {"hue": 0.1}}]}},
        ],
        "p": 0.3,
    }
}


def test_steps_inside_steps_survive_being_stored() -> None:
    recipe = parse({"train": [NESTED, *GOOD], "eval": GOOD}, "")
    assert parse(yaml.safe_load(yaml.safe_dump(recipe.to_data())), "") == recipe
    choice, order = recipe.train[0].transforms
    assert (choice.p, recipe.train[0].p) == ((1, 2), 0.3)
    assert [step.name() for step in order.transforms] == ["horizontal_flip", "color_jitter"]


def test_words_inside_steps_are_resolved() -> None:
    resolved = parse({"train": [NESTED, *GOOD], "eval": GOOD}, "").resolve((3, 2), (0.5,) * 3, (0.25,) * 3)
    assert resolved.train[0].transforms[0].transforms[0].size == (3, 2)


def test_a_part_has_at_most_two_hundred_steps_those_inside_others_counted() -> None:
    assert len(read_steps(["vertical_flip"] * 200, "train")) == 200
    line = r"^train: 1,000,000 steps, those inside others counted, are too many; give at most 200$"
    with pytest.raises(RecipeError, match=line):
        read_steps(["vertical_flip"] * 1_000_000, "train")
    nested = {"random_apply": {"transforms": [{"random_choice": {"transforms": ["vertical_flip"] * 10}}] * 9}}
    assert len(read_steps([nested, nested], "train")) == 2  # 1 + 9 · 11 each
    with pytest.raises(RecipeError, match=r"^train: 201 steps, those inside others counted, are too many"):
        read_steps([nested, nested, "vertical_flip"], "train")
