import contextlib
import datetime
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fastffdi.recipe import document
from fastffdi.recipe.document import DEEPEST, MOST_BYTES, MOST_VALUES, parse_document, read_document


def refusal(text: str) -> str:
    """The first line of the reason."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - its first line is what is looked at
        parse_document(text)
    first = str(error.value.args[0])
    assert first[0].isalpha()
    return first


def test_data_is_what_yaml_reads() -> None:
    text = "a: [1, 2.5, x, null, true, 2024-01-02]\nb: &b {c: d}\ne: *b\nf: {<<: *b, g: h}\n"
    found = parse_document(text)
    assert found == yaml.safe_load(text)
    assert found["a"][-1] == datetime.date(2024, 1, 2)
    assert parse_document("# nothing\n") is None


def test_aliases_of_aliases_are_refused_before_they_are_made() -> None:
    lines = [f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 9)}]" for k in range(1, 30)]
    bomb = "\n".join(["l0: &l0 [lol]", *lines])
    cure = "those behind an alias counted each time; write less"
    assert refusal(bomb) == f"has more than 10,000 values, {cure}"


def test_merges_of_merges_are_refused_before_they_are_made() -> None:
    lines = [f"l{k}: &l{k} {{<<: [{', '.join([f'*l{k - 1}'] * 9)}]}}" for k in range(1, 30)]
    assert refusal("\n".join(["l0: &l0 {a: 1}", *lines])).startswith("has more than 10,000 values")


def values(data: Any) -> int:
    if isinstance(data, dict):
        return 1 + sum(1 + values(inner) for inner in data.values())
    return 1 + sum(map(values, data)) if isinstance(data, list) else 1


@pytest.mark.parametrize("text", ["a: &a [1, [2], {b: 3}]\nc: [*a, *a]\nd: *a", "[&x y, *x, *x]", "1", "{}"])
def test_the_values_behind_an_alias_count_each_time(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = values(yaml.safe_load(text))
    monkeypatch.setattr(document, "MOST_VALUES", exact)
    parse_document(text)
    monkeypatch.setattr(document, "MOST_VALUES", exact - 1)
    assert refusal(text).startswith("has more than ")


def test_as_many_values_as_are_allowed_are_read() -> None:
    assert len(parse_document("- a\n" * (MOST_VALUES - 1))) == MOST_VALUES - 1
    assert refusal("- a\n" * MOST_VALUES).startswith("has more than 10,000 values")


@pytest.mark.parametrize("text", ["&a [*a]", "a: &a {b: [*a]}", "&a [x, &b {c: *a}]"])
def test_an_alias_within_what_it_stands_for_is_refused(text: str) -> None:
    assert refusal(text) == "has an alias inside what it stands for; write it out"


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ("{a: ", "}"), ("- ", "")])
def test_nesting_has_an_end(begin: str, end: str) -> None:
    parse_document(begin * (DEEPEST - 1) + "x" + end * (DEEPEST - 1))
    for depth in (DEEPEST, 5_000):
        assert (
            refusal(begin * depth + "x" + end * depth) == "nests values more than 50 deep; write it flatter"
        )


@pytest.mark.parametrize("number", ["1" + ":1" * 200, "9" * 5000, "0x" + "f" * 5000, "1." + "5" * 200])
def test_a_number_that_takes_long_is_refused(number: str) -> None:
    assert refusal(f"a: {number}").startswith("has a number of ")
    assert parse_document(f"a: '{number}'") == {"a": number}


@pytest.mark.parametrize(
    "text",
    ["!!python/object/apply:os.system [id]", "!!python/name:os.system", "!!python/module:os", "!x y"],
)
def test_tags_that_would_run_code_are_refused(text: str) -> None:
    assert refusal(text).startswith("is not YAML: line 1, column 1: could not determine a constructor")


def test_a_reason_that_quotes_the_text_is_cut() -> None:
    assert len(refusal(f"a: !{'x' * 5000} y")) < 400


def test_a_file_of_a_gigabyte_is_refused_by_its_length(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 30)
    with pytest.raises(
        ValueError, match=r"^is 1,024\.0 MiB long, at most 256 KiB are read; give a shorter file$"
    ):
        read_document(file)


def test_a_file_may_be_as_long_as_the_limit_and_no_longer(tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    file.write_text("#" * (MOST_BYTES - 5) + "\na: 1")
    assert read_document(file) == {"a": 1}
    file.write_text("#" * (MOST_BYTES - 4) + "\na: 1")
    with pytest.raises(ValueError, match=r"^is 0.3 MiB long, at most 256 KiB are read"):
        read_document(file)


def test_what_has_no_length_is_read_as_far_as_the_limit() -> None:
    with pytest.raises(ValueError, match=r"^is too long, at most 256 KiB are read; give a shorter file$"):
        read_document(Path("/dev/zero"))


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
def test_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("a: 1",))
    writer.start()
    assert read_document(pipe) == {"a": 1}
    writer.join()


def test_a_folder_and_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "image.yaml").write_bytes(b"\xff\xd8\xff")
    for path in (tmp_path, tmp_path / "image.yaml"):
        with pytest.raises(ValueError, match=r"^cannot be read as text \("):
            read_document(path)
    with pytest.raises(FileNotFoundError):
        read_document(tmp_path / "absent.yaml")


@given(st.text(st.sampled_from("ab 01:-?[]{},&*!|>'\"%@#\n\t.<~=")) | st.text(max_size=50))
def test_any_text_is_data_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_document(text)
