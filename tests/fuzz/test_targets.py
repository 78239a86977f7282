"""A few inputs for each target; `make fuzz` tries many."""

import pytest
from fuzz.mutations import inputs
from fuzz.seeds import seeds
from fuzz.targets import TARGETS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: How many inputs each target is given here; no more than take a second or two.
EXAMPLES = 100


@pytest.mark.parametrize("name", TARGETS)
def test_valid_inputs_are_taken(name: str) -> None:
    for data in seeds(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_refusals_comes_out(name: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def tried(data: st.DataObject) -> None:
        TARGETS[name](data.draw(inputs(name)))

    tried()


def test_a_fault_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*given: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr("fuzz.targets.image_size", faulty)
    with pytest.raises(KeyError, match="a fault"):
        TARGETS["probe"](b"")
