"""A few inputs for each target; `make fuzz` tries many."""

import pytest
from fuzz.mutations import inputs
from fuzz.seeds import seeds
from fuzz.targets import TARGETS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: How many inputs each target is given here; those of the slow ones cost milliseconds each.
EXAMPLES = {
    "probe": 100,
    "labels": 40,
    "recipe": 40,
    "weights": 60,
    "header": 60,
    "index": 60,
    "decode": 60,
    "check": 60,
}


@pytest.mark.parametrize("name", TARGETS)
def test_valid_inputs_are_taken(name: str) -> None:
    for data in seeds(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_refusals_comes_out(name: str) -> None:
    @settings(
        max_examples=EXAMPLES[name], deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.data())
    def tried(data: st.DataObject) -> None:
        TARGETS[name](data.draw(inputs(name)))

    tried()
