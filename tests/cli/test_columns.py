from fastffdi.cli.columns import aligned, show
from fastffdi.cli.terminal import Terminal


def test_words_stand_to_the_left_and_numbers_to_the_right():
    rows = [("run", "AUC", "saw"), ("a", "0.5", "much"), ("longer", "0.75", "no")]
    assert aligned(rows, (0, 2)) == ["run      AUC  saw", "a        0.5  much", "longer  0.75  no"]


def test_names_do_nothing_to_the_terminal(capsys):
    show(["run", "n"], [["a\nb", "1"]], left=[0])
    assert capsys.readouterr().out == "run   n\na\\nb  1\n"


def test_in_a_terminal_it_is_a_table(capsys, monkeypatch):
    monkeypatch.setattr(Terminal, "is_terminal", property(lambda self: True))
    show(["run", "AUC"], [["a", "0.5"]], left=[0])
    out = capsys.readouterr().out
    assert "──" in out
    assert "0.5" in out
