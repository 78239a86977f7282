"""Valid inputs with faults in them, as hypothesis draws them."""

from __future__ import annotations

import json
from functools import cache

from fuzz.seeds import seeds
from hypothesis import strategies as st

from fastffdi.model.description import CHECKS
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import parameters_of

_NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1]


@cache
def inputs(target: str) -> st.SearchStrategy[bytes]:
    """Any bytes; valid inputs cut short, with other bytes in places, or put together from two."""
    valid = st.sampled_from(seeds(target))
    bytewise = st.binary(max_size=200) | _changed(valid) | st.builds(_spliced, valid, valid, _place, _place)
    return bytewise | _documents.map(_encoded) if target in ("recipe", "header") else bytewise


_place = st.floats(0, 1)

#: Words that mean something in a recipe or a description, in places where they may mean nothing.
_WORDS = sorted(
    {
        "train",
        "eval",
        "mix",
        "decode",
        "mixup",
        "cutmix",
        "scaled",
        "format",
        "backbone",
        "imagenet",
        *CHECKS,
        *STEPS,
    }
    | {field.name for step in STEPS.values() for field in parameters_of(step)}
)
_word = st.sampled_from(_WORDS)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([0, 1, 2, 8, 0.5, -1]) | _word,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_word, inner, max_size=3),
    max_leaves=12,
)
_entries = st.lists(
    _word | st.dictionaries(st.sampled_from(sorted(STEPS)), _values, min_size=1, max_size=1), max_size=4
)
_sized = _entries.map(lambda steps: [{"resize": {"size": [8, 8]}}, *steps, "normalize"])
_recipes = st.fixed_dictionaries({"train": _sized | _entries, "eval": _sized}, optional={"mix": _values})
_documents = (
    _recipes
    | st.dictionaries(_word, _values | _recipes, max_size=5)
    | st.fixed_dictionaries({"format": st.just(1)}, optional=dict.fromkeys(CHECKS, _values | _recipes))
)


def _encoded(document: object) -> bytes:
    return json.dumps(document).encode()


@st.composite
def _changed(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(1, 4))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 8))
        data[at : at + length] = draw(_written)
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


_written = st.binary(max_size=12) | st.builds(
    int.to_bytes, st.sampled_from(_NUMBERS), st.just(8), st.sampled_from(["little", "big"])
)


def _spliced(one: bytes, other: bytes, end: float, begin: float) -> bytes:
    return one[: int(end * len(one))] + other[int(begin * len(other)) :]
