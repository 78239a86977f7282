import inspect
import pickle

import pytest

from fastffdi import errors
from fastffdi.errors import (
    DataError,
    FastffdiError,
    RecipeError,
    RunError,
    SettingError,
    Stalled,
    UndecodableImage,
    UsageError,
    did_you_mean,
)


def own_errors() -> list[type[FastffdiError]]:
    return [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, FastffdiError)]


@pytest.mark.parametrize("error", [UsageError, DataError, RecipeError, SettingError])
def test_wrong_use_exits_with_2(error: type[FastffdiError]) -> None:
    assert issubclass(error, UsageError)
    assert error.exit_code == 2


@pytest.mark.parametrize("error", [FastffdiError, RunError, Stalled, UndecodableImage])
def test_failures_exit_with_1(error: type[FastffdiError]) -> None:
    assert not issubclass(error, UsageError)
    assert error.exit_code == 1


def test_the_tree_at_the_top_of_the_file_names_every_error() -> None:
    drawn = (errors.__doc__ or "").split()
    assert all(error.__name__ in drawn for error in own_errors())
    assert len(own_errors()) == 8


def test_an_undecodable_image_says_which_why_and_what_to_do() -> None:
    error = UndecodableImage("/data/a.jpg", "truncated")
    line = "/data/a.jpg: cannot be decoded (truncated); replace the file or take it off the list"
    assert str(error) == line
    assert error.path == "/data/a.jpg"


def test_an_undecodable_images_name_and_reason_are_escaped_in_the_message_only() -> None:
    error = UndecodableImage("/data/a\n\x1b[2J.jpg", "bad\x07")
    assert str(error).startswith("/data/a\\n\\x1b[2J.jpg: cannot be decoded (bad\\x07); ")
    assert (error.path, error.reason) == ("/data/a\n\x1b[2J.jpg", "bad\x07")


def test_the_arguments_of_an_error_are_its_lines() -> None:
    assert str(DataError("one")) == "one"
    assert str(pickle.loads(pickle.dumps(DataError("one", "two")))) == "one\ntwo"


def test_a_stalled_read_says_which_image_and_crosses_processes_whole() -> None:
    error = pickle.loads(pickle.dumps(Stalled("/data/a\n.jpg", 0.5)))
    assert str(error) == (
        "/data/a\\n.jpg: not read within 0.5 s; is its disk or network mount there? The loader setting "
        "read_timeout gives it longer"
    )
    assert (error.path, error.seconds) == ("/data/a\n.jpg", 0.5)


def test_a_near_word_is_offered() -> None:
    assert did_you_mean("horizontal_flop", ["vertical_flip", "horizontal_flip"]) == (
        ", did you mean 'horizontal_flip'?"
    )


def test_without_a_near_word_all_are_listed_in_order() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "; allowed: a, b"
    assert did_you_mean("zzz", ["b", "a"], also=["c"]) == "; allowed: a, b"
    assert did_you_mean("cde", ["b"], also=["cdef"]) == ", did you mean 'cdef'?"
