"""Valid inputs with faults in them, as hypothesis draws them."""

from __future__ import annotations

from functools import cache

from fuzz.seeds import seeds
from hypothesis import strategies as st

_NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1]


@cache
def inputs(target: str) -> st.SearchStrategy[bytes]:
    """Any bytes; valid inputs cut short, with other bytes in places, or put together from two."""
    valid = st.sampled_from(seeds(target))
    return st.binary(max_size=200) | _changed(valid) | st.builds(_spliced, valid, valid, _place, _place)


_place = st.floats(0, 1)


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
