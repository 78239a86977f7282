import json
import math

import pytest
import torch

from fastffdi.training.tree import flatten, rebuild


def through_json(value):
    tensors = {}
    data = json.loads(json.dumps(flatten(value, "part", tensors)))
    return rebuild(data, tensors), tensors


@pytest.mark.parametrize(
    "value",
    [
        None,
        0.1 + 0.2,
        math.inf,
        2**70,
        "text",
        [],
        {},
        (),
        [1, [2, None]],
        (0.9, 0.999),
        {0: "a", 1: {"b": (1,)}},
        {"tensor": "is a word here", "items": [], "tuple": {}},
    ],
)
def test_plain_values_come_back_as_they_were(value):
    found, tensors = through_json(value)
    assert found == value
    assert type(found) is type(value)
    assert tensors == {}


def test_tensors_are_taken_out_under_names_that_tell_where_they_stood():
    moments = torch.arange(3.0), torch.tensor(7)
    value = {"state": {5: {"step": moments[1], "exp_avg": moments[0]}}, "list": [moments[0]]}
    found, tensors = through_json(value)
    assert list(tensors) == ["part/state/5/step", "part/state/5/exp_avg", "part/list/0"]
    assert found["state"][5] == {"step": moments[1], "exp_avg": moments[0]}
    assert found["list"][0] is moments[0]
