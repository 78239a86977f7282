import pytest
import torch
from click.testing import CliRunner

from fastffdi.cli.main import cli


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


@pytest.mark.usefixtures("without_dali")
def test_what_is_missing_is_named_with_its_cure():
    said = lines()
    assert said["DALI"] == "DALI is not installed; pip install nvidia-dali-cuda120"
    assert said["loader dali, cpu"].startswith("does not work: --loader dali: DALI is not installed")
    assert said["loader cpu, cpu"].startswith("works")
