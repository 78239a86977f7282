"""Empty files by their names, and the line of an error about some."""

from pathlib import Path

import pytest

from fastffdi.errors import DataError


def touch(*names: str) -> None:
    """Make these files, with the folders that they are in."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def message(call, *args, **named) -> str:
    """The one line of the DataError that a call raises."""
    with pytest.raises(DataError) as error:
        call(*args, **named)
    assert "\n" not in str(error.value)
    return str(error.value)
