import os
import threading
import time
from functools import partial

import numpy as np
import pytest
from planted import clean

from fastffdi.audit import survey as module
from fastffdi.audit.facts import PROBLEMS
from fastffdi.audit.memory import Memory
from fastffdi.audit.survey import survey
from fastffdi.data.manifest import Manifest
from fastffdi.data.readers import ReaderThreads
from fastffdi.errors import Stalled


@pytest.fixture
def split(planted):
    return planted(clean()).train


@pytest.mark.parametrize("full", [True, False])
def test_threads_change_nothing(split, full, monkeypatch, tmp_path):
    found = []
    for threads in (1, 4):
        monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / f"cache{threads}"))
        found.append(survey(split, threads, full))
    assert (found[0].facts == found[1].facts).all()
    assert (found[0].keys == found[1].keys).all()


def test_progress_adds_up(split):
    done = []
    survey(split, 2, True, done.append)
    assert sum(done) == len(split)


def test_sizes_are_those_of_the_files(split):
    assert survey(split, 2, False).sizes.tolist() == [os.path.getsize(path) for path in split.paths()]


def test_what_is_no_file_is_named(split, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    names = np.array(["pipe", "folder", "dangling", "absent", "a\0b"], object)
    found = survey(Manifest(str(tmp_path), names, np.zeros(5, int)), 1, True)
    words = ["unreadable", "unreadable", "unreadable", "missing", "unreadable"]
    assert [PROBLEMS[code] for code in found.facts["problem"]] == words
    assert found.reasons.keys() == set(range(5))


def test_keys_are_equal_where_bytes_are(planted):
    rows = clean()
    rows["train"].append(("copy.jpg", rows["train"][3][1], 1))
    keys = survey(planted(rows).train, 2, True).keys
    assert keys[3] == keys[-1]
    assert len(set(keys.tolist())) == len(keys) - 1


def test_what_was_looked_at_before_ctrl_c_is_kept_and_the_rest_not_looked_at(split, monkeypatch):
    seen, inspect = [], module.inspect

    def slow(path, size_bytes, full):
        seen.append(path)
        time.sleep(0.05)
        return inspect(path, size_bytes, full)

    def stop(done):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "inspect", slow)
    monkeypatch.setattr(module, "_CHUNKS", {True: 4})
    with pytest.raises(KeyboardInterrupt):
        survey(split, 1, True, stop)
    assert len(seen) < 8
    assert len(Memory.of(split.root).table) == 4


@pytest.mark.parametrize("full", [True, False])
def test_a_read_that_never_ends_is_an_error_that_names_the_file(split, full, monkeypatch):
    released, (victim,) = threading.Event(), split.paths(slice(3, 4))
    inspect = module.inspect

    def stuck(path, size_bytes, full):
        if path == victim:
            released.wait(100)
        return inspect(path, size_bytes, full)

    monkeypatch.setattr(module, "inspect", stuck)
    monkeypatch.setattr(module, "ReaderThreads", partial(ReaderThreads, seconds=0.5))
    try:
        with pytest.raises(Stalled, match=victim):
            survey(split, 2, full)
    finally:
        released.set()
