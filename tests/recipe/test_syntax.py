import pytest
import yaml

from fastffdi.recipe.syntax import not_yaml


def reason(text: str) -> list[str]:
    with pytest.raises((yaml.YAMLError, ValueError)) as error:
        yaml.safe_load(text)
    return not_yaml(error.value).splitlines()


def test_the_caret_is_under_the_character() -> None:
    said, line, caret = reason("a:\n  key:   value:  x\n")
    assert said == "line 2, column 15: mapping values are not allowed here"
    assert (line, caret) == ("      key:   value:  x", " " * 18 + "^")
    assert line[caret.index("^")] == ":"


def test_a_long_line_is_cut_around_the_place() -> None:
    said, line, caret = reason(f"a: {'b' * 500}: c{'d' * 500}")
    assert said.startswith("line 1, column 504: ")
    assert len(line) < 100
    assert line[caret.index("^")] == ":"


def test_what_has_no_place_is_one_line() -> None:
    assert reason("a: 2024-99-99") == ["month must be in 1..12"]
    (line,) = reason("a: \x07")
    assert line.startswith("unacceptable character #x0007")


def test_a_tag_that_would_run_code_is_shown_where_it_stands() -> None:
    said, line, caret = reason("ab: !!python/object:os.system {}")
    assert said == (
        "line 1, column 5: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object:os.system'"
    )
    assert line[caret.index("^")] == "!"


def test_what_lacks_an_end_is_shown_at_its_beginning() -> None:
    said, line, caret = reason("ab: {c: 8\n")
    assert said == (
        "line 2, column 1: expected ',' or '}', but got '<stream end>', while parsing a flow mapping from "
        "line 1, column 5"
    )
    assert (line, caret) == ("    ab: {c: 8", "        ^")
