import os
import subprocess

import pytest
import torch

from fastffdi.bench import machine


def test_facts_name_what_a_figure_depends_on():
    facts = machine.facts()
    assert set(facts) == {"cpu", "cores", "memory_gib", "gpu", "driver", "os", "load", "versions", "date"}
    assert facts["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert set(facts["versions"]) == {
        "python", "fastffdi", "torch", "torch_cuda", "torchvision", "dali", "dali_cuda", "opencv",
        "simplejpeg", "pillow",
    }  # fmt: skip
    assert facts["cpu"]
    assert facts["cores"] >= 1


def test_the_sentence_states_hardware_load_and_versions():
    facts = {"cpu": "Z80", "cores": 4, "gpu": None, "load": 0.5, "date": "2030-01-02T03:04:05"}
    said = machine.sentence({**facts, "versions": {"a": "1.2", "b": None}}, 8)
    assert said == "Measured on Z80, 4 of 4 cores, no GPU, load 0.5 before; a 1.2; 2030-01-02."


def test_the_driver_is_what_nvidia_smi_says(monkeypatch: pytest.MonkeyPatch):
    answer = subprocess.CompletedProcess([], 0, "570.1\n570.1\n")
    monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: answer)
    assert machine.driver() == "570.1"


@pytest.mark.parametrize(
    "error", [FileNotFoundError("nvidia-smi"), subprocess.TimeoutExpired("nvidia-smi", 20)]
)
def test_without_an_answer_no_driver_is_known(monkeypatch: pytest.MonkeyPatch, error: Exception):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(machine.subprocess, "run", fails)
    assert machine.driver() is None


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system does not tie processes to cores"
)
def test_only_cores_holds_while_the_block_runs():
    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    with machine.only_cores(1):
        assert os.sched_getaffinity(0) == {min(before)}
        assert torch.get_num_threads() == 1
    assert os.sched_getaffinity(0) == before
    assert torch.get_num_threads() == threads
