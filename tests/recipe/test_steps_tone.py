import re

import numpy as np
import pytest
import torch
from recipes import step
from torchvision.transforms.v2 import functional as F

from fastffdi.recipe.kernels import AUTOCONTRAST, EQUALIZE, NOTHING, Stretch, Table
from fastffdi.recipe.steps import STEPS

DONE_AND_NOT = np.array([[0.0], [0.9]])
PIXEL_VALUES = torch.arange(256, dtype=torch.uint8)


WRONG = [
    ("random_invert", {"p": 1.5}, "random_invert: p: 1.5 is not a probability between 0 and 1"),
    (
        "random_posterize",
        {},
        "random_posterize: parameter 'bits' is missing; write random_posterize: {bits: …}",
    ),
    ("random_posterize", {"bits": 9}, "random_posterize: bits: 9 is not a number of bits from 0 to 8"),
    ("random_posterize", {"bits": 2.0}, "random_posterize: bits: 2.0 is not a whole number"),
    ("random_solarize", {"threshold": 256}, "random_solarize: threshold: 256 is not between 0 and 255"),
    ("random_solarize", {"threshold": "low"}, "random_solarize: threshold: 'low' is not a number"),
    ("random_equalize", {"q": 1}, "random_equalize: unknown parameter 'q'; allowed: p"),
    ("random_autocontrast", {"p": -0.1}, "random_autocontrast: p: -0.1 is not a probability between 0 and 1"),
]


@pytest.mark.parametrize(("name", "parameters", "line"), WRONG)
def test_wrong_parameters_are_refused_in_one_line(name: str, parameters: dict, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        STEPS[name].read(parameters)


def table(name: str, **parameters: object) -> np.ndarray:
    """The table of an image that is changed; beside one that is not."""
    (kernel,) = step(name, **parameters).lower(DONE_AND_NOT, None)
    assert isinstance(kernel, Table)
    assert np.array_equal(kernel.table[1], PIXEL_VALUES)
    return kernel.table[0]


def test_inverting_is_torchvisions() -> None:
    assert np.array_equal(table("random_invert"), F.invert(PIXEL_VALUES))


@pytest.mark.parametrize("bits", range(9))
def test_posterizing_is_torchvisions(bits: int) -> None:
    assert np.array_equal(table("random_posterize", bits=bits), F.posterize(PIXEL_VALUES, bits))


@pytest.mark.parametrize("threshold", [0, 1, 127.5, 128, 255])
def test_solarizing_is_torchvisions(threshold: float) -> None:
    assert np.array_equal(table("random_solarize", threshold=threshold), F.solarize(PIXEL_VALUES, threshold))


@pytest.mark.parametrize(
    ("name", "how"), [("random_equalize", EQUALIZE), ("random_autocontrast", AUTOCONTRAST)]
)
def test_stretches_say_how_each_image_is_stretched(name: str, how: int) -> None:
    (kernel,) = step(name).lower(DONE_AND_NOT, None)
    assert isinstance(kernel, Stretch)
    assert kernel.how.tolist() == [how, NOTHING]
    assert [kernel.is_identity(i) for i in range(2)] == [False, True]
