import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fastffdi.errors import RecipeError
from fastffdi.recipe.lowering import template
from fastffdi.recipe.mix import Mix
from fastffdi.recipe.recipe import Recipe, default_recipe, load, parse, shipped
from fastffdi.recipe.steps import STEPS

END = {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}}
GOOD = [{"resize": {"size": [8, 8]}}, END]


def refusal(text: str, folder: Path) -> str:
    """The error line for a recipe file `mine.yaml` with this text, from `mine.yaml` on."""
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        load(str(folder / "mine.yaml"))
    line = str(error.value)
    assert line.startswith(f"{folder}/mine.yaml: ")
    assert "\n" not in line
    return line.removeprefix(f"{folder}/")


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_load_and_survive_being_stored(name: str) -> None:
    recipe = load(name)
    stored = yaml.safe_dump(recipe.to_data())
    assert parse(yaml.safe_load(stored), "a checkpoint") == recipe


def test_the_recipes_that_ship() -> None:
    assert {"jitter", "standard", "tutorial"} <= set(shipped())


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_resolve_to_values(name: str) -> None:
    resolved = load(name).resolve((96, 80), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    values = [getattr(step, name, None) for step in resolved.train for name in ("size", "mean", "std")]
    assert not {"backbone", "imagenet"} & {value for value in values if isinstance(value, str)}
    assert template(resolved.train).normalize == template(resolved.eval).normalize
    assert template(resolved.train).normalize is not None


def test_the_tutorial_is_the_tutorials() -> None:
    recipe = load("tutorial")
    assert [step.name() for step in recipe.train] == [
        "resize",
        "horizontal_flip",
        "vertical_flip",
        "normalize",
    ]
    assert [step.name() for step in recipe.eval] == ["resize", "normalize"]
    assert recipe.train[0] == STEPS["resize"](size=(256, 256))
    assert recipe.mix is None


def test_a_file_of_ones_own_is_given_by_its_path(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yml"
    mine.write_text(yaml.safe_dump({"train": GOOD, "eval": GOOD, "mix": {"mixup": 0.4}}))
    recipe = load(str(mine))
    assert recipe == parse({"train": GOOD, "eval": GOOD, "mix": {"mixup": 0.4}}, "")
    assert recipe.mix == Mix(mixup=0.4, cutmix=0, p=1, switch=0.5)


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "./mine", "folder/mine.txt"])
def test_a_path_is_told_from_a_name_by_its_ending_or_its_folder(name, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path(name).write_text(yaml.safe_dump({"train": GOOD, "eval": GOOD}))
    if name == "./mine":
        with pytest.raises(RecipeError, match="neither a shipped recipe nor a path"):
            load(name)
    else:
        assert load(name) == parse({"train": GOOD, "eval": GOOD}, "")


def test_the_default_is_for_faces_and_of_demo_images_their_own() -> None:
    assert (default_recipe(False), default_recipe(True)) == ("standard", "demo")


def test_a_step_without_parameters_may_be_its_bare_name() -> None:
    steps = [{"resize": {"size": 8}}, {"center_crop": {"size": 8}}, "horizontal_flip", "normalize"]
    assert parse({"train": steps, "eval": GOOD}, "").train[2:] == (
        STEPS["horizontal_flip"](),
        STEPS["normalize"]("backbone", "backbone"),
    )


def test_backbone_and_imagenet_are_resolved_each_to_its_own() -> None:
    steps = [{"resize": {"size": "backbone"}}, {"center_crop": {"size": "imagenet"}}]
    steps.append({"normalize": {"mean": "imagenet", "std": "backbone"}})
    resolved = parse({"train": steps, "eval": GOOD}, "").resolve((300, 200), (0.5,) * 3, (0.25,) * 3)
    resize, crop, normalize = resolved.train
    assert (resize.size, crop.size) == ((300, 200), (224, 224))
    assert (normalize.mean, normalize.std) == ((0.485, 0.456, 0.406), (0.25, 0.25, 0.25))


def test_resolving_leaves_values_alone() -> None:
    recipe = parse({"train": GOOD, "eval": GOOD, "mix": {"cutmix": 1}}, "")
    assert recipe.resolve((300, 200), (0.5,) * 3, (0.25,) * 3) == recipe


STEPS_WRONG = [
    ("[{horizontal_flop: {}}]", "train[0]: unknown step 'horizontal_flop', did you mean 'horizontal_flip'?"),
    ("[{zzz: {}}]", f"train[0]: unknown step 'zzz'; allowed: {', '.join(sorted(STEPS))}"),
    (
        "[normalize, {color_jitter: {brightnes: 1}}]",
        "train[1]: color_jitter: unknown parameter 'brightnes', did you mean 'brightness'?",
    ),
    ("[{resize: {5: 3}}]", "train[0]: resize: unknown parameter '5'; allowed: interpolation, max_size, size"),
    ("[resize]", "train[0]: resize: parameter 'size' is missing; write resize: {size: …}"),
    ("[{resize: 256}]", "train[0]: resize: 256 are no parameters; write resize: {parameter: value}"),
    (
        "[{resize: {size: 8}, normalize: }]",
        "train[0]: {'normalize': None, 'resize': {'size': 8}} is not one step; "
        "write name: {parameter: value}",
    ),
    ("[3]", "train[0]: 3 is not one step; write name: {parameter: value}"),
    ("[{horizontal_flip: {p: 2}}]", "train[0]: horizontal_flip: p: 2 is not a probability between 0 and 1"),
    ("{resize: 256}", "train: must be a list of steps, for example [resize: {size: 256}, normalize]"),
    ("[]", "train: must be a list of steps, for example [resize: {size: 256}, normalize]"),
    ("[{resize: {size: [8, 8]}}]", "train: must have one normalize, as its last step"),
    (
        "[normalize, {resize: {size: [8, 8]}}]",
        "train[1]: resize comes after normalize, which must be the last step",
    ),
    (
        "[{resize: {size: [8, 8]}}, normalize, normalize]",
        "train[2]: normalize comes after normalize, which must be the last step",
    ),
    (
        "[{resize: {size: 8}}, normalize]",
        "train: no step brings all images to one size; add for example center_crop: {size: 224}",
    ),
    (
        "[{resize: {size: [8, 9]}}, {random_crop: {size: 10}}, normalize]",
        "train: random_crop: 10×10 does not fit the 8×9 that resize gives; set pad_if_needed: true, or "
        "change one of the two",
    ),
    (
        "[{resize: {size: [8, 9]}}, {random_apply: {transforms: [{random_crop: {size: 10}}]}}, normalize]",
        "train: random_apply: [0] random_crop: 10×10 does not fit the 8×9 that resize gives; "
        "set pad_if_needed: true, or change one of the two",
    ),
    (
        "[{resize: {size: [64, 50]}}, {center_crop: {size: [20, 40]}}, horizontal_flip, "
        "{random_crop: {size: 30}}, normalize]",
        "train: random_crop: 30×30 does not fit the 20×40 that center_crop gives; set pad_if_needed: true, "
        "or change one of the two",
    ),
    (
        "[{five_crop: {size: 8}}, normalize]",
        "train[0]: five_crop: not all images have one size yet; put a resize or crop before it",
    ),
    (
        "[{resize: {size: [8, 8]}}, {five_crop: {size: 6}}, {ten_crop: {size: 4}}, normalize]",
        "train[2]: ten_crop: five_crop makes views already; leave one of them out",
    ),
    (
        "[{resize: {size: [8, 8]}}, {random_apply: {transforms: [{center_crop: {size: 6}}]}}, normalize]",
        "train[1]: random_apply: all images are 8×8 before it and must stay so, but its steps leave some "
        "of another size",
    ),
    (
        "[{python: 'math:sqrt'}, {resize: {size: [8, 8]}}, normalize]",
        "train: python: not all images have one size yet; put a resize or crop before it",
    ),
]


@pytest.mark.parametrize(("steps", "line"), STEPS_WRONG)
def test_a_wrong_step_is_refused_by_file_step_and_cure(steps: str, line: str, tmp_path: Path) -> None:
    text = f"train: {steps}\neval: [{{resize: {{size: [8, 8]}}}}, normalize]\n"
    assert refusal(text, tmp_path) == f"mine.yaml: {line}"


def with_code(part: str) -> dict:
    return {"train": GOOD, "eval": GOOD, part: [*GOOD[:1], {"python": "no_such.module:function"}, END]}


def test_a_recipe_given_by_its_path_may_name_a_function_which_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(with_code("train")))
    recipe = load(str(tmp_path / "mine.yaml"))
    assert recipe.to_data()["train"][1] == {"python": {"function": "no_such.module:function"}}
    assert parse(recipe.to_data(), "a checkpoint", code=True) == recipe


def test_any_other_recipe_may_not() -> None:
    line = "x: train: python: no_such.module:function: runs code, which only a recipe given by its path may; "
    with pytest.raises(RecipeError, match=f"^{line}copy the recipe to a file of your own$"):
        parse(with_code("train"), "x")


def test_what_a_checkpoint_is_used_with_never_names_a_function() -> None:
    line = "x: eval: python: no_such.module:function: a checkpoint keeps these steps, and runs no code; "
    with pytest.raises(RecipeError, match=f"^{line}leave it out$"):
        parse(with_code("eval"), "x", code=True)


FILES_WRONG = [
    ("- 3", "mine.yaml: a recipe is a mapping with 'train' and 'eval'; this is list"),
    ("", "mine.yaml: a recipe is a mapping with 'train' and 'eval'; this is NoneType"),
    ("trian: []", "mine.yaml: unknown part 'trian', did you mean 'train'?"),
    (
        "train: [{resize: {size: [8, 8]}}, normalize]",
        "mine.yaml: eval: must be a list of steps, for example [resize: {size: 256}, normalize]",
    ),
]


@pytest.mark.parametrize(("text", "line"), FILES_WRONG)
def test_a_wrong_file_is_refused_in_one_line(text: str, line: str, tmp_path: Path) -> None:
    assert refusal(text, tmp_path) == line


@pytest.mark.parametrize("text", ["train: 2024-99-99", "train: \x07"])
def test_what_is_not_yaml_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    assert refusal(text, tmp_path).startswith("mine.yaml: is not YAML: ")


def test_where_a_text_is_not_yaml_a_caret_stands_under_the_place(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("train:\n  - resize:   {size: 8}}\n  - normalize\n")
    with pytest.raises(RecipeError) as error:
        load(str(tmp_path / "mine.yaml"))
    assert str(error.value).splitlines() == [
        f"{tmp_path}/mine.yaml: is not YAML: line 2, column 24: expected <block end>, but found '}}'",
        "      - resize:   {size: 8}}",
        " " * 27 + "^",
    ]


SEVERAL = """
train:
  - horizontal_flop
  - resize: {size: [8, 8]}
  - random_apply: {transforms: [{blurr: {}}, {vertical_flip: {p: 2}}]}
  - normalize
eval: [{resize: {size: 8}}, normalize]
mix: {mixup: -1}
decode: {scaled: 8}
tain: []
"""


def test_mistakes_are_reported_together_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SEVERAL)
    with pytest.raises(RecipeError) as error:
        load(str(tmp_path / "mine.yaml"))
    lines = str(error.value).replace(f"{tmp_path}/mine.yaml: ", "").splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "unknown part 'tain', did you mean 'train'?",
        "train[0]: unknown step 'horizontal_flop', did you mean 'horizontal_flip'?",
        "train[2].random_apply[0]: unknown step 'blurr'",
        "train[2].random_apply[1]: vertical_flip: p: 2 is not a probability between 0 and 1",
        "mix: mixup: -1 is negative",
        "decode: scaled: 8 is neither true nor false",
        "eval: no step brings all images to one size",
    ]


def test_what_does_not_fit_together_is_reported_for_both_parts() -> None:
    with pytest.raises(RecipeError) as error:
        parse({"train": ["normalize"], "eval": [{"resize": {"size": 8}}]}, "x")
    assert str(error.value).splitlines() == [
        "x: train: no step brings all images to one size; add for example center_crop: {size: 224}",
        "x: eval: must have one normalize, as its last step",
    ]


REFUSED = [
    (
        b"- &a0 x\n" + b"".join(b"- &a%d [%s]\n" % (k, b"*a%d, " % (k - 1) * 9) for k in range(1, 30)),
        "has more than 10,000",
    ),
    (b"[" * 300_000, "is 0.3 MiB long, at most 256 KiB are read; give a shorter file"),
    (b"[" * 1500, "nests values more than 50 deep; write it flatter"),
    (b"!!python/object/apply:os.system [id]", "is not YAML: line 1, column 1: could not determine"),
]


@pytest.mark.parametrize(("data", "reason"), REFUSED, ids=["aliases", "length", "depth", "code"])
def test_a_file_that_would_take_long_or_run_code_is_refused(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(data)
    with pytest.raises(RecipeError) as error:
        load(str(tmp_path / "mine.yaml"))
    assert error.value.args[0].startswith(f"{tmp_path}/mine.yaml: {reason}")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(RecipeError, match=r"mine\.yaml: cannot be read as text \("):
        load(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    "entry", ["*l11", "{resize: {size: *l11}}", "{resize: *l11}", "{normalize: {mean: *l11}}"]
)
def test_lists_within_lists_do_not_make_the_error_line_endless(entry: str) -> None:
    aliases = [f"  - &l{k} [{', '.join([f'*l{k - 1}'] * 9)}]" for k in range(1, 12)]
    text = "\n".join(["eval:", "  - &l0 [lol]", *aliases, f"train: [{entry}]"])
    with pytest.raises(RecipeError) as error:
        parse(yaml.safe_load(text), "x")
    lines = str(error.value).splitlines()
    assert len(lines) == 11
    assert max(map(len, lines)) < 1000
    assert lines[-1] == "and 3 more mistakes"


MIXES_WRONG = [
    (5, "x: mix: 5 is no mapping; write mix: {mixup: 0.2, cutmix: 1.0}"),
    ({"mixxup": 1}, "x: mix: unknown parameter 'mixxup', did you mean 'mixup'?"),
    ({"mixup": -1}, "x: mix: mixup: -1 is negative; 0 turns it off"),
    ({"p": 2}, "x: mix: p: 2 is not a probability between 0 and 1"),
    ({"cutmix": "on"}, "x: mix: cutmix: 'on' is not a number"),
    ({"per": "row"}, "x: mix: per: 'row' is not one of image, batch"),
    ({"off_epochs": -1}, "x: mix: off_epochs: -1 is negative; 0 mixes to the end"),
    ({"off_epochs": 1.5}, "x: mix: off_epochs: 1.5 is not a whole number"),
]


@pytest.mark.parametrize(("mix", "line"), MIXES_WRONG)
def test_a_wrong_mix_is_refused_in_one_line(mix: object, line: str) -> None:
    with pytest.raises(RecipeError, match=f"^{re.escape(line)}$"):
        parse({"train": GOOD, "eval": GOOD, "mix": mix}, "x")


DECODES_WRONG = [
    (True, "x: decode: True is no mapping; write decode: {scaled: true}"),
    ({"scale": True}, "x: decode: unknown parameter 'scale', did you mean 'scaled'?"),
    ({"scaled": 8}, "x: decode: scaled: 8 is neither true nor false"),
]


@pytest.mark.parametrize(("decode", "line"), DECODES_WRONG)
def test_a_wrong_decode_is_refused_in_one_line(decode: object, line: str) -> None:
    with pytest.raises(RecipeError, match=f"^{re.escape(line)}$"):
        parse({"train": GOOD, "eval": GOOD, "decode": decode}, "x")


def test_scaled_decoding_needs_a_first_step_that_gives_the_size() -> None:
    data = {"train": GOOD, "eval": [{"center_crop": {"size": 9}}, *GOOD], "decode": {"scaled": True}}
    line = "x: eval[0]: center_crop: decode: {scaled: true} needs a first step that says how"
    with pytest.raises(RecipeError, match=f"^{re.escape(line)}"):
        parse(data, "x")
    begun = parse({**data, "eval": [{"random_resized_crop": {"size": 9}}, *GOOD]}, "x")
    assert begun.decode.scaled
    assert parse(begun.to_data(), "x") == begun
    assert not parse({"train": GOOD, "eval": GOOD}, "x").decode.scaled


def test_an_unknown_shipped_name_is_answered_with_a_near_one() -> None:
    line = "--pipeline tutorail: neither a shipped recipe nor a path that ends in .yaml, did you mean "
    with pytest.raises(RecipeError, match=f"^{re.escape(line)}'tutorial'\\?$"):
        load("tutorail")


def test_a_missing_file_is_answered_with_the_shipped_names() -> None:
    line = f"nowhere/mine.yaml: no such file; shipped recipes are {', '.join(shipped())}"
    with pytest.raises(RecipeError, match=f"^{re.escape(line)}$"):
        load("nowhere/mine.yaml")


def test_a_stored_recipe_is_plain_data() -> None:
    recipe = parse({"train": ["horizontal_flip", *GOOD], "eval": GOOD, "mix": {"mixup": 1}}, "")
    resize = {"resize": {"size": [8, 8], "interpolation": "bilinear", "max_size": None}}
    assert isinstance(recipe, Recipe)
    assert recipe.to_data() == {
        "train": [
            {"horizontal_flip": {"p": 0.5}},
            resize,
            {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}},
        ],
        "eval": [resize, {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}}],
        "mix": {"mixup": 1, "cutmix": 0, "p": 1, "switch": 0.5, "per": "image", "off_epochs": 0},
    }


def test_recipes_are_read_without_torch_and_dali() -> None:
    code = "import sys, fastffdi.recipe.recipe as r; r.load('standard'); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "yaml" in out.split()
    assert not {"torch", "torchvision", "nvidia", "cv2"} & set(out.split())
