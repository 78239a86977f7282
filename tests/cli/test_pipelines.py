from collections.abc import Callable
from typing import Any

import pytest
import yaml

from fastffdi.recipe.recipe import shipped
from fastffdi.recipe.steps import STEPS

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_recipes_and_steps_are_listed(fastffdi: Run):
    code, out, err = fastffdi("pipelines")
    assert (code, err) == (0, "")
    begun = [line.split()[0].rstrip(":") for line in out.splitlines() if line[:2] == "  " and line[2] != " "]
    assert begun == [*shipped(), *STEPS, "mix", "decode"]
    assert "\n  horizontal_flip: {p: 0.5}\n      Mirror left-right with probability `p`.\n" in out
    assert "`p`.\n      also random_horizontal_flip, RandomHorizontalFlip\n" in out
    assert out.count("      also ") == 3
    assert max(map(len, out.splitlines())) <= 80


def test_a_recipe_is_printed_as_it_is(fastffdi: Run):
    code, out, _ = fastffdi("pipelines", "tutorial")
    assert code == 0
    assert out.startswith("# The challenge tutorial's own preprocessing")
    assert yaml.safe_load(out)["train"][0] == {"resize": {"size": [256, 256]}}


def test_an_unknown_recipe_is_one_line_and_code_2(fastffdi: Run):
    code, out, err = fastffdi("pipelines", "standart")
    assert (code, out) == (2, "")
    assert err == "fastffdi: standart: no shipped recipe has that name, did you mean 'standard'?\n"
