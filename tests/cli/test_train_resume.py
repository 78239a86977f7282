"""Runs that a signal stopped, and that --resume goes on with."""

import os
import shlex
import shutil
import signal
import sys
from datetime import datetime
from types import SimpleNamespace

import pytest
from commands import PLAIN, refused

from fastffdi.training.keeper import Keeper


@pytest.fixture
def signalled(monkeypatch):
    """signalled(number, batches): let the process get a signal after so many batches."""

    def at(number, batches):
        told, seen = Keeper.watching, iter(range(1, 10**6))

        def watching(self, progress):
            def counting(images, means):
                if next(seen) == batches:
                    os.kill(os.getpid(), number)
                progress(images, means)

            return told(self, counting)

        monkeypatch.setattr(Keeper, "watching", watching)

    return at


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_one_line_that_has_the_command_to_go_on(train, signalled, output, number, code):
    signalled(number, 3)
    ended = train("--epochs", 2, "--overwrite")
    assert (ended.code, ended.out) == (code, "")
    *_, model, last = ended.err.splitlines()
    assert model.startswith("test_efficientnet on cpu")
    where = f"stopped in epoch 1 of 2, after 24 of 40 training images; all of it is kept in {output}"
    assert last.startswith(f"fastffdi: {where}; go on with: fastffdi train --backbone test_efficientnet ")
    command = shlex.split(last.partition("; go on with: ")[2])
    assert command[-1] == "--resume"
    assert sys.argv[1:] == [*command[1:-1], "--overwrite"]


def test_the_command_to_go_on_does(train, fastffdi, signalled, output):
    signalled(signal.SIGINT, 3)
    command = shlex.split(train().err.partition("; go on with: ")[2])
    code, out, err = fastffdi(*command[1:])
    assert code == 0
    assert f"\n{output}: going on at epoch 1 after 24 of 40 training images, of 1 epochs\nepoch 1/1  " in err
    assert out.startswith("best: epoch 1, ")
    repeated = fastffdi(*command[1:], "auto")
    assert (repeated.code, repeated.out) == (0, out)
    assert f"{output}: this run is finished, after 1 epochs; nothing is left to do\nnext: " in repeated.err


def test_the_command_names_the_folder_that_it_chose_and_quotes_what_needs_it(
    fastffdi, tiny, tmp_path, signalled, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    data = shutil.copytree(tiny, tmp_path / "my data")
    signalled(signal.SIGINT, 1)
    clock = SimpleNamespace(now=lambda: datetime(2030, 1, 2))
    monkeypatch.setattr("fastffdi.training.settings.datetime", clock)
    error = fastffdi("train", *PLAIN, "--pipeline", tiny / "recipe.yaml", "--data", data).err.splitlines()[-1]
    assert error.endswith(f" --data '{data}' --output runs/test_efficientnet-20300102-000000 --resume")


def test_where_nothing_is_kept_the_command_begins_again(train, signalled, output):
    signalled(signal.SIGINT, 1)
    last = train("--loader", "torchvision").err.splitlines()[-1]
    assert last.startswith(
        "fastffdi: stopped in epoch 1 of 1; nothing of it is kept; begin again with: fastffdi"
    )
    assert last.endswith("--loader torchvision")


def test_an_interrupted_run_in_the_folder_is_named_with_the_cure(train, signalled, output):
    signalled(signal.SIGINT, 3)
    train()
    code, _, err = train()
    assert code == 2
    assert err == (
        f"fastffdi: --output {output}: holds a run that was interrupted; go on with it by --resume, name "
        "another folder, or add --overwrite\n"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--resume",),
            "--resume: {} holds no state to go on from; name the folder of a run with --output, or",
        ),
        (("--resume", "atuo"), "--resume atuo: unknown, did you mean 'auto'?"),
        (
            ("--resume", "--overwrite"),
            "--resume: goes on with a run, which --overwrite deletes; leave out one",
        ),
        (
            ("--save-every", "ten"),
            "--save-every ten: give a time such as 10m, or a number of updates such as",
        ),
    ],
)
def test_wrong_use_of_resume_is_refused(train, output, words, line):
    assert refused(train(*words), output).startswith(line.format(output))


def test_resume_needs_the_folder(fastffdi, tiny):
    ended = fastffdi("train", *PLAIN, "--data", tiny, "--resume", "auto")
    assert (ended.code, ended.err) == (2, "fastffdi: --resume: name the folder of the run with --output\n")
