from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from fastffdi.training.typed import read


def value(text, hint, null=False):
    return read(yaml.compose(text), hint, null)


@pytest.mark.parametrize(
    ("text", "hint", "expected"),
    [
        ("5", int, 5),
        ("1_000", int, 1000),
        ("1e-3", float, 1e-3),
        ("3", float, 3.0),
        ("0.5", float, 0.5),
        ("off", str, "off"),
        ("10m", str | int, "10m"),
        ("500", str | int, "500"),
        ("1:30", str, "1:30"),
        ("off", bool, False),
        ("true", bool, True),
        ("a/b", Path | None, Path("a/b")),
        ("~/a", Path, Path.home() / "a"),
        ("null", Path | None, None),
        ("~", int | None, None),
        ("'null'", str | None, "null"),
        ("cosine", Literal["cosine", "step"], "cosine"),
        ("[0.9, 1e-3]", tuple[float, float], (0.9, 1e-3)),
        ("[1, 2, 3]", list[int], [1, 2, 3]),
        ("{a: 1, b: [x]}", dict[str, Any], {"a": 1, "b": ["x"]}),
    ],
)
def test_a_value_is_what_its_type_asks_for(text, hint, expected):
    found = value(text, hint)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "hint", "message"),
    [
        ("many", int, "'many' is not a whole number"),
        ("1.5", int, "'1.5' is not a whole number"),
        ("'5'", int, "'5' is not a whole number"),
        ("true", int, "'true' is not a whole number"),
        ("fast", float | None, "'fast' is not a number"),
        (".nan", float, "'.nan' is not a number"),
        ("1", bool, "'1' is not true or false"),
        ("null", str, "'null' is not a text"),
        ("[a]", Path | None, "a list is not a path"),
        ("{a: b}", str, "a mapping is not a text"),
        ("linear", Literal["cosine", "step"], "unknown 'linear'; allowed: cosine, step"),
        ("cosin", Literal["cosine", "step"] | None, "unknown 'cosin', did you mean 'cosine'?"),
        ("[1]", tuple[float, float], "a list is not a list of 2"),
        ("0.9", tuple[float, float], "'0.9' is not a list of 2"),
        ("[1, x]", list[int], "'x' is not a whole number"),
    ],
)
def test_other_values_are_refused_with_what_is_allowed(text, hint, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        value(text, hint)
    assert str(caught.value) == message


def test_null_may_be_allowed_beside_the_type():
    assert value("null", bool, null=True) is None
    with pytest.raises(ValueError, match="'null' is not true or false"):
        value("null", bool)
