"""`train` and `predict` as torchrun starts them, in two processes."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import psutil
import pytest
from commands import PLAIN

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@contextmanager
def torchrun(*words, errors):
    """The process of torchrun; what it and its workers say is in the file `errors`."""
    command = [*TORCHRUN, "-m", "fastffdi", *map(str, words)]
    with errors.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        workers = []
        try:
            yield process
        finally:
            workers = psutil.Process(process.pid).children() if process.poll() is None else []
            for left in (*workers, process):
                left.kill()
            process.wait()


def training(tiny, output):
    recipe = ("--pipeline", tiny / "recipe.yaml", "--lr", 1e-3, "--batch-size", 8, "--epochs", 1000)
    return ("train", "--data", tiny, *PLAIN, *recipe, "--output", output)


def wait_for(path, process):
    end = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def told(errors):
    return [line for line in errors.read_text().splitlines() if line.startswith("fastffdi: ")]


def test_where_one_is_killed_all_end_with_one_message(tiny, tmp_path):
    output, errors = tmp_path / "run", tmp_path / "errors"
    with torchrun(*training(tiny, output), errors=errors) as process:
        wait_for(output / "metrics.csv", process)
        workers = psutil.Process(process.pid).children()
        assert len(workers) == 2
        workers[1].kill()
        process.wait(10)
        assert process.returncode == 1
        assert psutil.wait_procs(workers, 0)[1] == []
    (message,) = told(errors)
    assert message.startswith("fastffdi: another process of the run has ended or answers no more (")
    assert message.endswith("); start all of them again, and a training run with --resume")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_torchrun_stops_all_with_one_message(tiny, tmp_path, number):
    output, errors = tmp_path / "run", tmp_path / "errors"
    with torchrun(*training(tiny, output), errors=errors) as process:
        wait_for(output / "metrics.csv", process)
        process.send_signal(number)
        process.wait(20)
    (message,) = told(errors)
    assert "all of it is kept in" in message
    assert "; go on with: torchrun … -m fastffdi train --data" in message


def test_predict_writes_the_table_of_one_process(fastffdi, tiny, tiny_run, tmp_path):
    checkpoint = tiny_run.settings.output / "best.safetensors"
    words = ("predict", checkpoint, "--data", tiny, "--amp", "off", "--batch-size", 3)
    assert fastffdi(*words, "-o", tmp_path / "one.csv").code == 0
    with torchrun(*words, "-o", tmp_path / "two.csv", errors=tmp_path / "said") as process:
        assert process.wait(60) == 0
    one, two = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("one", "two"))
    assert list(two.img_name) == list(one.img_name)
    np.testing.assert_allclose(two.y_pred, one.y_pred, rtol=0, atol=1e-6)
    assert (tmp_path / "said").read_text().count("16 rows in") == 1
