import pytest
import torch
from click.testing import CliRunner

from fastffdi.bench import doctor
from fastffdi.cli.main import cli
from fastffdi.model import precision
from fastffdi.model.precision import Capabilities


def lines() -> dict[str, str]:
    result = CliRunner().invoke(cli, ["doctor"], catch_exceptions=False)
    assert result.exit_code == 0
    return {line[:24].strip(): line[24:] for line in result.output.splitlines()}


@pytest.mark.skipif(torch.cuda.is_available(), reason="lines of a machine without CUDA")
def test_every_line_says_what_and_how_it_stands():
    said = lines()
    assert list(said) == [
        "python", "driver", "torch", "DALI", "cores", "precision", "loader dali, cpu", "loader cpu, cpu",
        "loader torchvision, cpu", "loader auto", "cache folder",
    ]  # fmt: skip
    assert said["torch"].startswith(torch.__version__)
    assert "bf16" in said["precision"] or "float32" in said["precision"]
    assert all(said[f"loader {name}, cpu"].startswith("works") for name in ("dali", "cpu", "torchvision"))


@pytest.mark.parametrize(
    ("able", "line"),
    [
        (
            Capabilities(cuda_bf16=True),
            "bf16, since this GPU has it (on cuda); --amp off is float32, with TF32 in convolutions",
        ),
        (
            Capabilities(),
            "fp16 with gradient scaling, since this GPU has no bf16 (on cuda); --amp off is float32",
        ),
    ],
)
def test_the_precision_of_a_gpu_is_said_with_what_off_would_be(monkeypatch, able, line):
    monkeypatch.setattr(precision, "detect", lambda device: able)
    assert doctor._precision(torch.device("cuda:0")) == line


def test_the_precision_of_a_cpu_without_bf16_is_said_once(monkeypatch):
    monkeypatch.setattr(precision, "detect", lambda device: Capabilities())
    line = "float32, since this CPU has neither AMX nor AVX512-BF16 (on cpu)"
    assert doctor._precision(torch.device("cpu")) == line


@pytest.mark.usefixtures("without_dali")
def test_what_is_missing_is_named_with_its_cure():
    said = lines()
    assert said["DALI"] == "DALI is not installed; pip install nvidia-dali-cuda120"
    assert said["loader dali, cpu"].startswith("does not work: --loader dali: DALI is not installed")
    assert said["loader cpu, cpu"].startswith("works")
