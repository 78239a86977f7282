import json
import statistics
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from fastffdi.bench import loader as bench
from fastffdi.cli.main import cli
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RecipeError, SettingError, UndecodablePicture
from fastffdi.recipe import recipe
from fastffdi.recipe.steps import STEPS

SETTINGS = bench.Settings(
    torch.device("cpu"), torch.float32, threads=2, batch_size=4, seconds=0.05, repeats=2
)
TINY = (STEPS["resize"]((16, 16)), STEPS["normalize"]((0.5,) * 3, (0.5,) * 3))


@pytest.fixture(autouse=True)
def _short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that turns also meet the end of an epoch."""
    monkeypatch.setattr(bench, "EPOCH", 100)


def test_every_loader_has_its_turns_and_a_ratio_to_the_baseline(pictures: Manifest):
    turns: list[str] = []
    results = bench.measure("tiny", TINY, pictures, bench.NAMES, SETTINGS, turns.append)
    assert turns == list(bench.NAMES) * 3
    assert [result.loader for result in results] == list(bench.NAMES)
    for result in results:
        assert len(result.rates) == 2
        assert min(result.rates) > 0
        ratios = [own / base for own, base in zip(result.rates, results[0].rates, strict=True)]
        assert result.ratio == statistics.median(ratios)
    assert results[0].ratio == 1


def test_without_the_baseline_there_is_no_ratio(pictures: Manifest):
    (result,) = bench.measure("tiny", TINY, pictures, ["cpu"], SETTINGS)
    assert result.to_data()["ratio_to_baseline"] is None


def test_a_loader_that_cannot_express_the_recipe_says_so(pictures: Manifest):
    @dataclass(frozen=True)
    class Swirl(type(STEPS["horizontal_flip"]())):
        pass

    baseline, cpu = bench.measure(
        "swirl", (TINY[0], Swirl(), TINY[1]), pictures, ["torchvision", "cpu"], SETTINGS
    )
    assert baseline.problem == "cannot express swirl"
    assert (baseline.rates, baseline.ratio, cpu.ratio) == ((), None, None)
    assert baseline.to_data()["images_per_second"] is None
    assert len(cpu.rates) == 2


def test_the_recipe_is_also_measured_without_color_jitter():
    steps = recipe.load("jitter").resolve(*bench.BACKBONE).train
    tables = bench.tables("jitter", steps)
    assert list(tables) == ["jitter", "jitter without color_jitter"]
    assert [step.name() for step in tables["jitter without color_jitter"]] == [
        "resize", "horizontal_flip", "vertical_flip", "normalize",
    ]  # fmt: skip
    assert list(bench.tables("tiny", TINY)) == ["tiny"]


def test_loaders_are_chosen_by_name():
    assert bench.available("all") == ("torchvision", "cpu", "dali")
    assert bench.available("cpu, torchvision") == ("torchvision", "cpu")
    with pytest.raises(SettingError, match="unknown loader 'cpus', did you mean 'cpu'"):
        bench.available("cpus")


def run(*arguments: str) -> str:
    options = [
        "--seconds",
        "0.05",
        "--repeats",
        "2",
        "--batch-size",
        "4",
        "--threads",
        "2",
        "--device",
        "cpu",
    ]
    words = ["bench-loader", *options, *arguments]
    return CliRunner().invoke(cli, words, catch_exceptions=False).output


def test_the_command_writes_figures_that_agree(pictures: Manifest, tmp_path: Path):
    file = tmp_path / "figures.json"
    out = run("--data", pictures.root, "--loaders", "torchvision,cpu", "--amp", "off", "--json", str(file))
    assert "without color_jitter" in out
    assert "does more arithmetic than ours" in out
    assert "Measured on" in out
    record = json.loads(file.read_text())
    assert set(record) == {"machine", "settings", "results"}
    assert record["settings"]["data"] == f"23 pictures of {Path(pictures.root).name}, without labels"
    assert record["settings"]["dtype"] == "float32"
    assert [(row["pipeline"], row["loader"]) for row in record["results"]] == [
        (table, loader)
        for table in ("jitter", "jitter without color_jitter")
        for loader in ("torchvision", "cpu")
    ]
    for row in record["results"]:
        speed = row["images_per_second"]
        assert 0 < speed["q25"] <= speed["median"] <= speed["q75"]
        assert (row["device"], row["threads"], len(row["images_per_second_each"])) == ("cpu", 2, 2)
        assert (row["ratio_to_baseline"] == 1) or row["loader"] != "torchvision"


def test_an_undecodable_picture_stops_the_command(pictures: Manifest, tmp_path: Path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    for loader in ("torchvision", "cpu"):
        with pytest.raises(UndecodablePicture, match=r"bad\.jpg"):
            run("--data", str(tmp_path), "--pipeline", "tutorial", "--loaders", loader)


def test_what_is_wrong_is_said_before_anything_is_measured(pictures: Manifest, tmp_path: Path):
    with pytest.raises(SettingError, match="the folder does not exist"):
        run("--data", pictures.root, "--json", str(tmp_path / "absent" / "figures.json"))
    with pytest.raises(RecipeError, match="did you mean 'jitter'"):
        run("--data", pictures.root, "--pipeline", "jiter")
