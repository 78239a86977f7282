"""The schema that ships is that of the settings, and knows the files that runs write."""

import json
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jsonschema
import pytest
import yaml

from fastffdi.training import config
from fastffdi.training.schema import SCHEMA, descriptions, schema
from fastffdi.training.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped():
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


def test_it_is_up_to_date():
    page = runpy.run_path(str(ROOT / "docs" / "schema.py"))["page"]
    assert SCHEMA.read_text(encoding="utf-8") == page(), "run `make tables`"


def test_every_setting_is_described(shipped):
    properties = shipped["properties"]
    assert set(properties) == set(config.keys(Settings))
    nested = {**properties, **properties["loading"]["properties"]}
    assert [name for name, entry in nested.items() if not entry.get("description")] == []
    assert properties["epochs"] == {
        "description": "passes over the training images",
        "type": "integer",
        "default": 5,
    }
    assert properties["weights"]["type"] == ["string", "null"]


def test_it_accepts_what_a_run_writes(shipped, tmp_path):
    config.keep(Settings(data="DIR", weights="w.pth", output=tmp_path, limit=9))
    text = (tmp_path / "config.yaml").read_text()
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA.as_uri()}\n")
    jsonschema.validate(yaml.safe_load(text), shipped)


@pytest.mark.parametrize("wrong", [{"epoch": 3}, {"epochs": "many"}, {"loading": {"prefech": 1}}])
def test_it_refuses_what_train_refuses(shipped, wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, shipped)


@dataclass
class _Other:
    """Settings.

    Attributes:
        name: one of two
        low, high: the limits,
            both of them
    """

    name: Literal["a", "b"] | None = None
    low: float = 0.0
    high: tuple[float, ...] = (1.0,)


def test_choices_and_lists_have_their_kinds():
    properties = schema(_Other, ("low",))["properties"]
    assert properties["name"] == {"description": "one of two", "enum": ["a", "b", None], "default": None}
    assert properties["high"]["items"] == {"type": "number"}
    assert "low" not in properties


def test_names_that_share_a_description_each_have_it():
    assert descriptions(_Other)["low"] == descriptions(_Other)["high"] == "the limits, both of them"
