"""The images that `predict` is given."""

import io
from types import SimpleNamespace

import pytest
from submitted import names, refused, table


@pytest.mark.parametrize("end", [b"\n", b"\0"])
def test_a_list_on_standard_input(predict, tiny, submit, monkeypatch, end):
    monkeypatch.chdir(tiny / "valset")
    listed = ["05.jpg", "02.jpg", "05.jpg"]
    data = b"".join(name.encode() + end for name in listed)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert predict("-").out == f"3 rows in {submit}\n"
    assert names(submit) == listed
    first, _, again = table(submit)["y_pred"]
    assert first == pytest.approx(again, abs=1e-6)


def test_a_pattern_in_quotes(predict, tiny, submit, monkeypatch):
    monkeypatch.chdir(tiny)
    assert predict("val*/0[25].jpg").out == f"2 rows in {submit}\n"
    assert names(submit) == ["valset/02.jpg", "valset/05.jpg"]


def test_standard_input_holds_one_list(predict, submit):
    assert refused(predict("-", "-"), submit) == (
        "predict: - stands for the list on standard input, which is there once"
    )
