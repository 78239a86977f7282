import pickle

import pytest

from fastffdi.errors import RecipeError
from fastffdi.recipe.mistakes import Mistakes


def noted(*lines: str) -> Mistakes:
    mistakes = Mistakes()
    for line in lines:
        with mistakes.noted():
            raise RecipeError(line)
    return mistakes


def ended(mistakes: Mistakes) -> str:
    with pytest.raises(RecipeError) as error:
        mistakes.end()
    return str(error.value)


def test_without_a_mistake_nothing_happens() -> None:
    mistakes = noted()
    with mistakes.noted():
        pass
    assert not mistakes
    mistakes.end()


def test_every_mistake_has_its_line() -> None:
    assert ended(noted("a")) == "a"
    assert ended(noted("a", "b")) == "a\nb"


def test_mistakes_within_mistakes_are_counted_singly_and_ten_are_told() -> None:
    inner, outer = noted(*"abcdefghijk"), noted("0")
    with outer.noted():
        inner.end()
    assert ended(outer).splitlines() == [*"0abcdefghi", "and 2 more mistakes"]


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), Mistakes().noted():
        raise KeyError


def test_they_cross_to_other_processes() -> None:
    with pytest.raises(RecipeError) as error:
        noted("a", "b").end()
    assert str(pickle.loads(pickle.dumps(error.value))) == "a\nb"
