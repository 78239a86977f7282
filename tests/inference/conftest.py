"""Fixtures of the tests of prediction: a checkpoint, images, and their scores."""

import pytest
from predictors import scored

from fastffdi.data.layout import find_dataset
from fastffdi.training.folder import BEST


@pytest.fixture(scope="session")
def best(tiny_run):
    return tiny_run.settings.output / BEST


@pytest.fixture(scope="session")
def val(tiny):
    return find_dataset(tiny).val


@pytest.fixture(scope="session")
def expected(best, val):
    return scored(best, val)
