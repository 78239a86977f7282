import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from recipes import normalised

from fastffdi.bench import ceilings
from fastffdi.bench import loader as bench
from fastffdi.cache.plan import needed
from fastffdi.data.manifest import Manifest
from fastffdi.errors import SettingError
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model.backbone import load_recipe
from fastffdi.recipe.steps import STEPS
from fastffdi.render.cpu.decode import SourceDecoder

SETTINGS = bench.Settings(torch.device("cpu"), torch.float32, LoaderSettings(2, 4), seconds=0.05, repeats=2)
TINY = normalised(STEPS["resize"]((16, 16)))


@pytest.fixture(autouse=True)
def _short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that turns also meet the end of an epoch."""
    monkeypatch.setattr(bench, "EPOCH", 100)


def middle_ratio(own: bench.Result, other: bench.Result) -> float:
    return statistics.median(a / b for a, b in zip(own.rates, other.rates, strict=True))


def test_every_loader_has_its_turns_and_a_ratio_to_the_baseline(image_files: Manifest, tmp_path: Path):
    turns: list[str] = []
    settings = replace(SETTINGS, cache=tmp_path)
    results = bench.measure("tiny", TINY, image_files, bench.NAMES, settings, turns.append)
    assert turns == list(bench.NAMES) * 3
    assert [result.name for result in results] == list(bench.NAMES)
    for result in results:
        assert len(result.rates) == len(result.cpu_seconds_per_1000) == 2
        assert min(result.rates) > 0
        assert min(result.cpu_seconds_per_1000) >= 0
        assert (result.ratio, result.shares) == (middle_ratio(result, results[0]), {})
    assert results[0].ratio == 1


def test_ceilings_take_turns_with_the_loaders(image_files: Manifest):
    above = ceilings.ceilings(ceilings.sample(image_files, 2, 0), image_files, TINY, SETTINGS)
    turns: list[str] = []
    cpu, *results = bench.measure("tiny", TINY, image_files, ["cpu"], SETTINGS, turns.append, above)
    assert turns == ["cpu", "file read", "JPEG decode", "memory copy"] * 3
    assert cpu.shares == {result.name: middle_ratio(cpu, result) for result in results}
    assert all((result.ceiling, result.ratio, result.shares) == (True, None, {}) for result in results)
    assert "ratio_to_baseline" not in results[0].to_data()
    assert results[0].to_data()["ceiling"] == "file read"


def test_without_the_baseline_there_is_no_ratio(image_files: Manifest):
    (result,) = bench.measure("tiny", TINY, image_files, ["cpu"], SETTINGS)
    assert result.to_data()["ratio_to_baseline"] is None


def test_uint8_batches_are_counted_as_loaders_give_them(
    image_files: Manifest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bench, "DeviceStage", None)  # it would fail where it was called
    baseline, cpu = bench.measure(
        "tiny", TINY, image_files, ["torchvision", "cpu"], replace(SETTINGS, to="uint8")
    )
    assert (baseline.problem, baseline.rates, cpu.ratio) == ("no uint8 batches", (), None)
    assert len(cpu.rates) == 2


@dataclass(frozen=True)
class Swirl(type(STEPS["horizontal_flip"]())):
    pass


def test_a_loader_that_cannot_express_the_recipe_says_so(image_files: Manifest):
    baseline, cpu = bench.measure(
        "swirl", (TINY[0], Swirl(), TINY[1]), image_files, ["torchvision", "cpu"], SETTINGS
    )
    assert baseline.problem == "cannot express swirl"
    assert (baseline.rates, baseline.ratio, cpu.ratio) == ((), None, None)
    assert baseline.to_data()["images_per_second"] is None
    assert len(cpu.rates) == 2


def test_the_recipe_is_also_measured_without_color_jitter():
    steps = load_recipe("jitter").train
    tables = bench.tables("jitter", steps)
    assert list(tables) == ["jitter", "jitter without color_jitter"]
    assert [step.name() for step in tables["jitter without color_jitter"]] == [
        "resize", "horizontal_flip", "vertical_flip", "normalize",
    ]  # fmt: skip
    assert list(bench.tables("tiny", TINY)) == ["tiny"]


def test_loaders_are_chosen_by_name():
    assert bench.available("all") == ("torchvision", "cpu", "dali")
    assert bench.available("all", Path("kept")) == ("torchvision", "cpu", "cached", "dali")
    assert bench.available("cpu, torchvision") == ("torchvision", "cpu")
    with pytest.raises(SettingError, match="unknown loader 'cpus', did you mean 'cpu'"):
        bench.available("cpus")
    with pytest.raises(SettingError, match="cached needs a folder for images; add --cache DIR"):
        bench.available("cpu,cached")


def test_a_cache_is_full_before_it_is_measured(image_files: Manifest, tmp_path: Path):
    (result,) = bench.measure("tiny", TINY, image_files, ["cached"], replace(SETTINGS, cache=tmp_path))
    plan = bench.planner_over(image_files, TINY, SETTINGS).cache_plan(tmp_path)
    (store,) = needed([plan])
    assert (store.stored, len(plan.prefix)) == (len(image_files), 1)
    assert len(result.rates) == 2


def test_a_disk_without_room_is_refused_before_the_cache_is_filled(
    image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fastffdi.cache.plan.free_bytes", lambda folder: 0)
    with pytest.raises(SettingError, match="are free; name a folder on another disk"):
        bench.measure("tiny", TINY, image_files, ["cached"], replace(SETTINGS, cache=tmp_path))
    assert not list(tmp_path.iterdir())


def test_settings_say_how_loaders_work_and_where_images_come_from(image_files: Manifest):
    loading = LoaderSettings(2, 4, prefetch=5, hw_decoder_load=0.3)
    settings = replace(SETTINGS, loading=loading, scaled=True)
    assert bench.planner_over(image_files, TINY, settings).decoder == SourceDecoder(scaled=True)
    data = settings.to_data()
    assert {name: data[name] for name in ("dtype", "threads", "prefetch", "hw_decoder_load")} == {
        "dtype": "float32", "threads": 2, "prefetch": 5, "hw_decoder_load": 0.3,
    }  # fmt: skip
