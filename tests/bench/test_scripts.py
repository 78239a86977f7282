"""The scripts in benchmarks/ run; what they measure is not judged here."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastffdi.data.manifest import Manifest
from fastffdi.loaders.settings import LoaderSettings

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_cost_of_feeding_dali_is_printed_for_every_part(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dali_feed.py", "--batch-size", "8", "--repeats", "2"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(BENCHMARKS / "dali_feed.py"), run_name="__main__")
    first, *parts = capsys.readouterr().out.splitlines()
    assert first == "jitter, batches of 8, 4 arrays; ms per batch"
    assert [part.split()[0] for part in parts] == ["lower", "arrays", "run", "feed", "all"]


def test_every_stage_of_the_cpu_loader_is_measured(image_files: Manifest, monkeypatch, capsys):
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["cpu_stages.py", image_files.root, "--repeats", "1"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(BENCHMARKS / "cpu_stages.py"), run_name="__main__")
    torch.set_num_threads(threads)
    stages = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "…" in line]
    assert stages == ["plan", "read", "decode", "resize", "matrix", "copy", "normalise", "sum"]


def test_every_format_is_decoded_by_every_decoder(image_files: Manifest, tmp_path, monkeypatch, capsys):
    figures = tmp_path / "figures.json"
    few = "--images", "2", "--repeats", "1", "--json", str(figures)
    monkeypatch.setattr(sys, "argv", ["formats.py", image_files.root, *few])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(BENCHMARKS / "formats.py"), run_name="__main__")
    rows = json.loads(figures.read_text())["results"]
    assert "WebP, lossless" in capsys.readouterr().out
    formats = {"JPEG", "PNG", "WebP", "WebP, lossless", "AVIF"}
    assert {(row["format"], row["decoder"]) for row in rows} >= {
        (name, reader) for name in formats for reader in ("fastffdi", "Pillow", "OpenCV")
    }
    assert all(row["same"] == row["images"] == 2 for row in rows if row["decoder"] in ("fastffdi", "Pillow"))
    assert all(row["times_pillow"] == 1 for row in rows if row["decoder"] == "Pillow")


def test_a_data_check_is_measured_against_decoding(tiny: Path, tmp_path, monkeypatch, capsys):
    figures = tmp_path / "figures.json"
    few = "--threads", "1", "--repeats", "2", "--json", str(figures)
    monkeypatch.setattr(sys, "argv", ["check_speed.py", str(tiny), *few])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(BENCHMARKS / "check_speed.py"), run_name="__main__")
    record = json.loads(figures.read_text())
    assert (record["results"]["images"], len(record["turns"])) == (56, 2)
    assert record["results"]["full_speed"]["median"] > 0
    assert "quick check" in capsys.readouterr().out


def test_the_cost_of_saving_a_state_is_measured(tiny: Path, tmp_path, monkeypatch, capsys, one_thread):
    monkeypatch.setattr("fastffdi.training.settings.demo_folder", lambda: tiny)
    monkeypatch.chdir(tmp_path)
    few = "--backbone", "test_efficientnet", "--size", "32", "--batch-size", "4", "--saves", "2"
    monkeypatch.setattr(sys, "argv", ["saving.py", *few, "--json", "figures.json"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(BENCHMARKS / "saving.py"), run_name="__main__")
    record = json.loads((tmp_path / "figures.json").read_text())
    assert len(record["turns"]) == 2
    assert record["results"]["state_mib"] > 0
    assert "a save adds" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


@pytest.mark.slow
def test_two_processes_are_measured_against_two_threads(tiny: Path, tmp_path, monkeypatch, capsys):
    few = "--backbone", "test_efficientnet", "--size", "32", "--batch-size", "8", "--turns", "1"
    words = "--data", str(tiny), *few, "--json", str(tmp_path / "figures.json")
    monkeypatch.setattr(sys, "argv", ["distributed.py", *words])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(BENCHMARKS / "distributed.py"), run_name="__main__")
    record = json.loads((tmp_path / "figures.json").read_text())
    assert {number: len(speeds) for number, speeds in record["turns"].items()} == {"1": 1, "2": 1}
    assert record["results"]["ratio"]["median"] > 0
    assert "2 processes × 1 thread" in capsys.readouterr().out


@pytest.mark.slow
def test_scaling_is_measured(image_files: Manifest, tmp_path: Path):
    few = "--rounds", "1", "--seconds", "0.2", "--rows", "100,1000", "--million", "2000"
    figures = tmp_path / "figures.json"
    subprocess.run(
        [sys.executable, BENCHMARKS / "scaling.py", image_files.root, "--json", figures, *few], check=True
    )
    record = json.loads(figures.read_text())
    assert [row["rows"] for row in record["rows"]] == [100, 1000]
    assert (record["images"], record["start"]["rows"], record["rows"][0]["ratio"]) == (23, 2000, 1)
    published = json.loads(next(BENCHMARKS.glob("results/*-scaling.json")).read_text())
    assert {*record} == {*published} - {"pictures"} | {"images"}
    assert all({*record[part]} == {*published[part]} for part in ("settings", "start", "stages_us"))


def test_prediction_is_measured_beside_the_tutorials_loop(
    image_files: Manifest, tmp_path, monkeypatch, capsys
):
    figures = tmp_path / "figures.json"
    few = "--backbone", "test_resnet.r160_in1k", "--images", "4", "--turns", "1", "--json", str(figures)
    monkeypatch.setattr(sys, "argv", ["prediction.py", image_files.root, *few])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(BENCHMARKS / "prediction.py"), run_name="__main__")
    record = json.loads(figures.read_text())
    assert [*record["results"]] == ["tutorial", "one view", "ten_crop"]
    assert record["results"]["tutorial"]["times_tutorial"] == 1
    assert f"ten views cost {record['ten_views_cost']:.2f} times" in capsys.readouterr().out


def test_the_tutorials_loop_scores_as_the_predictor_does(image_files: Manifest):
    script = runpy.run_path(str(BENCHMARKS / "prediction.py"))
    torch.manual_seed(0)
    ways = script["contenders"]("test_resnet.r160_in1k", LoaderSettings(threads=1, batch_size=4))
    assert ways["one view"](image_files) == pytest.approx(ways["tutorial"](image_files), abs=0.02)
