import os
import re
import subprocess
import sys
from importlib.metadata import version

import click
import pytest

from fastffdi.cli import main as command_line
from fastffdi.cli.main import COMMANDS
from fastffdi.errors import DataError, RunError

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pandas",
    "PIL",
    "cv2",
    "nvidia",
    "scipy",
    "sklearn",
    "rich",
)


@pytest.fixture
def failing(monkeypatch):
    """failing(error): makes doctor end with that error."""

    def replace(error):
        @click.command()
        def doctor():
            raise error

        monkeypatch.setattr("fastffdi.cli.doctor.doctor", doctor)

    return replace


@pytest.mark.parametrize(("error", "code"), [(DataError("odd"), 2), (RunError("odd"), 1)])
def test_an_error_is_one_line_and_its_exit_code(fastffdi, failing, error, code):
    failing(error)
    assert fastffdi("doctor") == (code, "", "fastffdi: odd\n")


def test_a_name_cannot_act_on_the_terminal_nor_begin_a_line(fastffdi, failing):
    failing(DataError("a\n\x1b[2J\u202eb.jpg: odd"))
    assert fastffdi("doctor") == (2, "", "fastffdi: a\\n\\x1b[2J\\u202eb.jpg: odd\n")


def test_lines_of_an_error_are_its_arguments(fastffdi, failing):
    failing(DataError("two mistakes", "a\nb", "c"))
    assert fastffdi("doctor") == (2, "", "fastffdi: two mistakes\na\\nb\nc\n")


def test_what_click_refuses_is_escaped_too(fastffdi):
    code, out, err = fastffdi("\x1b[2Jtrain\u202e")
    assert (code, out) == (2, "")
    assert "x1b[2Jtrain" in err
    assert "\x1b" not in err


def test_with_debug_an_error_comes_with_its_traceback(fastffdi, failing):
    failing(DataError("odd"))
    with pytest.raises(DataError, match="odd") as caught:
        fastffdi("--debug", "doctor")
    assert caught.traceback[-1].name == "doctor"


def test_an_error_nobody_foresaw_keeps_its_traceback(fastffdi, failing):
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        fastffdi("doctor")


def test_an_interrupt_is_said_in_one_word(fastffdi, failing):
    failing(KeyboardInterrupt())
    code, out, err = fastffdi("doctor")
    assert (code, out, err.strip()) == (130, "", "interrupted")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], "No such command 'trian'"),
        (["train", "--epoch", "3", "--colour", "red"], "No such option"),
        (["train", "--epochs", "0"], "'--epochs': 0 is not in the range x>=1"),
        (["train", "--lr", "0"], "'--lr'"),
        (["train", "--threads", "many"], "'many' is not a valid integer"),
        (["predict"], "Missing argument 'CHECKPOINT...'"),
        (["demo-data"], "Missing argument 'FOLDER'"),
    ],
)
def test_options_click_refuses_exit_with_2(fastffdi, words, expected):
    code, out, err = fastffdi(*words)
    assert (code, out) == (2, "")
    assert expected in err


def test_help_names_every_command_and_what_it_does(fastffdi):
    code, out, _ = fastffdi("--help")
    assert code == 0
    for name, (_, line) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", out, re.MULTILINE)


def test_nothing_asked_is_answered_with_help(fastffdi):
    code, out, err = fastffdi()
    assert code == 2
    assert "Commands:" in out + err


def test_the_version_is_the_packages(fastffdi):
    assert fastffdi("--version") == (0, f"fastffdi, version {version('fastffdi')}\n", "")


def test_a_reader_that_has_gone_is_no_mistake():
    code = "import sys; from fastffdi.cli.main import main; sys.argv[1:] = ['--help']; main()"
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (run.returncode, run.stderr) == (1, "")


def imported_by(*words):
    """Modules that a fresh process has loaded when the command line ends."""
    code = (
        "import sys; from fastffdi.cli.main import main\n"
        f"sys.argv[1:] = {list(words)!r}\n"
        "try: main()\n"
        "finally: print('MODULES', *sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split("MODULES")[1].split())


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_loads_nothing_heavy(words):
    found = imported_by(*words)
    assert "fastffdi.cli.main" in found
    assert found.isdisjoint(HEAVY)


def test_a_commands_help_loads_no_torch():
    assert imported_by("train", "--help").isdisjoint(("torch", "nvidia", "timm"))


def test_every_command_is_found_under_its_name():
    context = click.Context(command_line.cli)
    assert command_line.cli.list_commands(context) == list(COMMANDS)
    assert all(command_line.cli.get_command(context, name) is not None for name in COMMANDS)
    assert command_line.cli.get_command(context, "absent") is None


def test_a_wrong_option_is_one_line_that_says_where_to_read_on(fastffdi):
    line = "fastffdi train: Invalid value for '--epochs': 0 is not in the range x>=1"
    assert fastffdi("train", "--epochs", "0") == (2, "", f"{line}; see fastffdi train --help\n")


def test_an_unknown_command_is_one_line(fastffdi):
    assert fastffdi("trane") == (2, "", "fastffdi: No such command 'trane'; see fastffdi --help\n")
