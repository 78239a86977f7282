import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastffdi.model.checkpoint import Checkpoint
from fastffdi.model.description import CHECKS, MOST_CHARACTERS, read_description

GOOD = {
    "backbone": "resnet18",
    "recipe": {},
    "size": [8, 9],
    "mean": [0, 0.5, 1],
    "std": [1, 0.5, 1],
    "epoch": 0,
    "seed": 2**63,
    "metrics": {"auc": 0.5, "eer": None},
    "labels": ["real", "fake"],
    "versions": {"timm": "1"},
    "weights_data": "imagenet-1k",
    "decision": None,
    "averaged": True,
}


def read(**changes):
    return read_description(json.dumps(GOOD | changes))


def test_what_is_valid_is_read_lists_as_tuples():
    assert read() == GOOD | {
        "size": (8, 9),
        "mean": (0, 0.5, 1),
        "std": (1, 0.5, 1),
        "labels": ("real", "fake"),
    }


def test_every_field_of_a_checkpoint_is_checked():
    assert [field.name for field in fields(Checkpoint)] == list(CHECKS)


ABSURD = {
    "backbone": [0, "", "x" * 201, ["resnet18"], None],
    "recipe": [[], "standard", None, 3],
    "size": [0, [], [8], [8, 8, 8], [0, 8], [-8, 8], [10**9, 8], ["8", "8"], [8.0, 8], [True, 8], {"8": 8}],
    "mean": [
        [],
        [0.5],
        [0, 0, "0"],
        [0, 0, None],
        [0, 0, 10**400],
        [0, 0, float("inf")],
        [0, 0, float("nan")],
    ],
    "std": [[1, 1, 0], [1, 1, -1], [1, 1], 1, [1, 1, float("inf")], "111"],
    "epoch": [-1, 0.5, "7", None, 10**30, True],
    "seed": [0.5, "7", None, 10**30],
    "metrics": [[], {"auc": "high"}, {"auc": []}, {"auc": float("nan")}, 1],
    "labels": [
        ["fake", "real"],
        ["cat", "dog"],
        [],
        ["real"],
        "real fake",
        {"real": 0},
        ["real", "fake", "x"],
    ],
    "versions": [[], {"timm": 1}, {"timm": "x" * 201}, "1"],
    "decision": [0.5, [], "eer"],
    "averaged": [0, 1, "true", None, []],
    "weights_data": ["", "x" * 201, None, ["imagenet-1k"], True],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in ABSURD for value in ABSURD[name]])
def test_an_absurd_value_is_refused_with_what_is_allowed(name, value):
    with pytest.raises(ValueError, match=rf"^{name}: .* is not ") as error:
        read(**{name: value})
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", r"^\[\] is no mapping$"),
        ("3", r"^3 is no mapping$"),
        ("{", "^Expecting property name"),
        ("", "^Expecting value"),
        ("[" * 100_000, "^its values nest too deep$"),
        ('{"a":' * 100_000, "^its values nest too deep$"),
        ("9" * 5000, "^Exceeds the limit"),
        (" " * (MOST_CHARACTERS + 1), r"^1,048,577 characters long, at most 1,048,576 are read$"),
    ],
    ids=["list", "number", "cut", "empty", "deep list", "deep mapping", "digits", "long"],
)
def test_what_is_no_description_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        read_description(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=9,
)


@given(st.sampled_from(list(CHECKS)), JSON)
def test_any_value_is_taken_or_refused_by_its_name(name, value):
    try:
        read(**{name: value})
    except ValueError as error:
        assert str(error).startswith(f"{name}: ")  # noqa: PT017
