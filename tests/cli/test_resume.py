"""`predict` that is killed, and goes on: the same table, byte for byte, and no image scored twice."""

import csv
import os
import signal

import numpy as np
import pytest
from commands import SCORING
from odd_images import odd_images
from submitted import names, refused

from fastffdi.inference.parts import Parts


def killed_and_resumed(together, best, folder, count, batch_size, world, times, format="csv"):
    """The uninterrupted table, its errors, and the same of a run that was killed so many times."""
    (images := folder / "images").mkdir()
    listed = odd_images(images, count)
    rng, tables = np.random.default_rng(world + times), []
    for stops in (0, times):
        output = folder / f"{stops}.{format}"
        words = [str(best), "-", "--output", str(output), "--batch-size", str(batch_size), "--device", "cpu"]
        words += [*map(str, SCORING), "--loader", "cpu"]
        given = (images, b"".join(name + b"\0" for name in listed))
        most = count // (batch_size * world * (times + 1))
        for stop in range(stops):
            kill = int(rng.integers(1, most)), float(rng.uniform(0, 0.02))
            ended = together(world, "table", [*words, *["--resume"] * bool(stop)], *given, kill)
            assert -signal.SIGKILL in ended.codes, ended
            assert not output.exists()
        ended = together(world, "table", [*words, *["--resume"] * bool(stops)], *given)
        assert ended == ([0] * world, [3, *[0] * (world - 1)]), ended
        tables.append((output.read_bytes(), output.with_suffix(".errors.csv").read_bytes()))
        assert not output.with_name(f"{output.name}.parts").exists()
    return listed, *tables


@pytest.mark.parametrize("world", [1, 2])
def test_a_run_that_was_killed_ends_with_the_same_table(together, best, tmp_path, world):
    listed, whole, resumed = killed_and_resumed(together, best, tmp_path, 60, 2, world, 2)
    assert resumed == whole
    text = whole[0].decode("utf-8", "surrogateescape").splitlines(keepends=True)
    rows = [*csv.reader(text)][1:]
    assert [os.fsencode(row[0]) for row in rows] == listed


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_thousand_images_and_five_kills(together, best, tmp_path, world, format):
    _, whole, resumed = killed_and_resumed(together, best, tmp_path, 1000, 8, world, 5, format)
    assert resumed == whole


@pytest.fixture
def interrupted(predict, tiny, submit, monkeypatch):
    """interrupted(error): the end of a run that has kept two batches of eight when the error comes."""

    def run(error):
        add = Parts.add

        def adding(parts, *given):
            add(parts, *given)
            if parts._number == 2:
                raise error

        with monkeypatch.context() as patch:
            patch.setattr("fastffdi.inference.predict.SECONDS", 0.0)
            patch.setattr(Parts, "add", adding)
            return predict(tiny / "trainset", "--batch-size", 8)

    return run


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [(KeyboardInterrupt(), 130, "interrupted"), (SystemExit(143), 143, "terminated")],
)
def test_a_signal_keeps_the_scores_and_says_how_to_go_on(
    interrupted, submit, predict, tiny, error, code, word
):
    ended = interrupted(error)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err == (
        f"{word}; {submit} is not written, but the scores so far are kept; the same command with --resume "
        "goes on from them\n"
    )
    ended = predict(tiny / "trainset", "--batch-size", 8, "--resume")
    assert ended.err == f"{submit}.parts: goes on from the scores of 16 images\n"
    assert names(submit) == [f"{k:02d}.jpg" for k in range(40)]
    resumed = submit.read_bytes()
    assert predict(tiny / "trainset", "--batch-size", 8).code == 0
    assert submit.read_bytes() == resumed
    assert not submit.with_name("submit.csv.parts").exists()


def test_other_settings_or_images_are_refused_by_name(interrupted, predict, tiny, submit):
    interrupted(KeyboardInterrupt())
    line = refused(predict(tiny / "trainset", "--batch-size", 4, "--resume"), submit)
    assert line == (
        f"--resume: {submit}.parts holds scores of another prediction: --batch-size 8, now 4; give the "
        "command that was interrupted, or leave out --resume to begin again"
    )
    line = refused(predict(tiny / "valset", "--batch-size", 8, "--views", "flip", "--resume"), submit)
    assert "another prediction: images 40 images (" in line
    assert "; looks one, now --views flip" in line


def test_without_resume_a_run_begins_again_and_says_so(interrupted, predict, tiny, submit):
    interrupted(KeyboardInterrupt())
    ended = predict(tiny / "valset")
    assert ended.err == (
        f"{submit}.parts: the scores of 16 images by an interrupted run are dropped; --resume would have "
        "gone on\n"
    )
    assert len(names(submit)) == 16


def test_resume_begins_where_there_is_nothing_to_go_on_from(predict, tiny, submit):
    ended = predict(tiny / "valset", "--resume")
    assert (ended.code, ended.err) == (0, "")
