from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recipes import normalised

from fastffdi.bench import quick as module
from fastffdi.bench.budget import Budget
from fastffdi.bench.ceilings import Sample
from fastffdi.bench.loader import Settings
from fastffdi.bench.minute import Minute
from fastffdi.bench.quick import drawn_from, quick_report, sampled, with_smaller_batches
from fastffdi.bench.report import Subject
from fastffdi.bench.stopwatch import Pass
from fastffdi.data.manifest import Manifest
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

SETTINGS = Settings(torch.device("cpu"), torch.float32, LoaderSettings(2, 64))
TINY = normalised(STEPS["resize"]((16, 16)))


class Measured:
    """A process that has been measured, without any."""

    ceiling, weight, ended = False, 1.0, False

    def __init__(self, name: str, *rates: float, first=None, mib=None, problem=None, cut=False) -> None:
        self.name, self.problem, self.cut = name, problem, cut
        self.passes = [Pass(int(rate), 1, 1.0, rate / 500) for rate in rates]
        self.first_batch_seconds, self.memory_mib = first, mib


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, image_files: Manifest):
    """measured(*processes): the report where these were measured; `measured.asked` is what was asked."""
    asked = SimpleNamespace()

    def made(*processes: Measured, fixed_batch: bool = False, settings: Settings = SETTINGS):
        @contextmanager
        def started(jobs, context):
            asked.jobs = jobs
            yield list(processes)

        def race(racers, budget, progress):
            asked.racers = racers
            for racer in racers[len(processes) :]:
                racer.passes = [Pass(1000, 1, 1.0, 1.0)] * 2
            return 1.5

        monkeypatch.setattr(module, "started", started)
        monkeypatch.setattr(module, "race", race)
        names = [process.name for process in processes]
        subject = Subject("tiny", TINY, image_files, names, [settings])
        return quick_report(subject, Minute(Budget(50.0), None, fixed_batch))

    made.asked = asked
    return made


def test_the_record_says_by_which_protocol_how_many_turns_and_which_were_cut(measured):
    found = measured(
        Measured("torchvision", 100, first=2.0, mib=300.0, cut=True),
        Measured("cpu", 300, 500, first=0.5, mib=100.0),
        Measured("dali", problem="no batch in 9 s", cut=True),
    )
    data = found.to_data()
    settings = data["settings"]
    assert (settings["protocol"], settings["seconds"], settings["repeats"]) == ("quick", 1.5, 2)
    rows = {row["loader"]: row for row in data["results"]}
    assert {name: (row["turns"], row["cut"]) for name, row in rows.items()} == {
        "torchvision": (1, True), "cpu": (2, False), "dali": (0, True),
    }  # fmt: skip
    assert rows["dali"]["problem"] == "no batch in 9 s"
    assert rows["cpu"]["images_per_second"]["median"] == 400.0
    assert [(row["ceiling"], row["turns"]) for row in data["ceilings"]] == [
        ("file read", 2), ("JPEG decode", 2), ("memory copy", 2),
    ]  # fmt: skip


def test_ratios_are_of_the_rounds_that_both_had(measured):
    found = measured(Measured("torchvision", 100), Measured("cpu", 300, 500))
    ratios = {result.name: result.ratio for result in found.results if not result.ceiling}
    assert ratios == {"torchvision": 1.0, "cpu": 3.0}
    assert found.results[1].shares["JPEG decode"] == pytest.approx(0.4)


def test_first_batches_and_memory_are_those_of_the_one_process(measured):
    found = measured(
        Measured("torchvision", 100, first=2.0, mib=300.0),
        Measured("cpu", 300, first=0.5, mib=100.0),
        Measured("cached", 900, first=0.1, mib=90.0),
        Measured("dali", problem="no batch in 9 s"),
    )
    assert [
        (f.loader, f.first_batch_seconds, f.memory_mib, f.first_batch_ratio) for f in found.footprints
    ] == [
        ("torchvision", (2.0,), (300.0,), 1.0),
        ("cpu", (0.5,), (100.0,), 0.25),
        ("dali", (), (), None),
    ]


def test_all_loaders_and_ceilings_race_with_the_same_images(measured, image_files: Manifest):
    measured(Measured("torchvision", 100), Measured("cpu", 300))
    asked = measured.asked
    assert [racer.name for racer in asked.racers] == [
        "torchvision", "cpu", "file read", "JPEG decode", "memory copy",
    ]  # fmt: skip
    assert {racer.weight for racer in asked.racers[2:]} == {0.25}
    assert list(asked.jobs) == ["torchvision", "cpu"]
    for job in asked.jobs.values():
        assert (job.steps, job.settings) == (TINY, SETTINGS)
        assert job.manifest.names.tolist() == image_files.names.tolist()


def sample(height: int, width: int) -> Sample:
    return Sample(Manifest("/", np.array(["a"], object), None, np.array([[height, width]], np.int32)), ())


@pytest.mark.parametrize(
    ("size", "batch"), [((375, 500), 64), ((1000, 1500), 64), ((2500, 3200), 8), ((9000, 9000), 4)]
)
def test_batches_are_halved_until_they_hold_a_hundred_megapixels(size, batch):
    assert with_smaller_batches(SETTINGS, sample(*size)).loading.batch_size == batch


def test_small_batches_stay():
    three = replace(SETTINGS, loading=LoaderSettings(2, 3))
    assert with_smaller_batches(three, sample(9000, 9000)) == three


def test_a_batch_size_that_is_given_stays(measured, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "BATCH_PIXELS", 64 * 9000)  # images have at least 60 × 60 pixels
    monkeypatch.setattr(module, "SMALLEST_BATCH", 1)
    assert measured(Measured("cpu", 9), fixed_batch=True).subject.settings[0].loading.batch_size == 64
    assert measured(Measured("cpu", 9)).subject.settings[0].loading.batch_size < 64
    assert measured.asked.jobs["cpu"].settings.loading.batch_size < 64


def test_ceilings_take_large_images_one_at_a_time_but_several_in_a_turn(
    measured, monkeypatch: pytest.MonkeyPatch
):
    seen: dict[str, int] = {}
    ceilings = module.ceilings.ceilings
    monkeypatch.setattr(
        module.ceilings, "ceilings", lambda *subject, **how: seen.update(how) or ceilings(*subject, **how)
    )
    measured(Measured("cpu", 9))
    assert seen == {}
    assert {racer._stream.group for racer in measured.asked.racers[1:]} == {2}
    monkeypatch.setattr(module, "_LARGE", 1.0)
    measured(Measured("cpu", 9))
    assert seen == {"span": 1}
    assert {racer._stream.group for racer in measured.asked.racers[1:]} == {16}


def test_of_very_many_images_some_are_drawn(image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    assert drawn_from(image_files, 0).names.tolist() == image_files.names.tolist()
    monkeypatch.setattr(module, "MOST_IMAGES", 5)
    drawn = drawn_from(image_files, 0).names.tolist()
    assert len(drawn) == 5
    assert drawn == sorted(drawn)
    assert drawn != drawn_from(image_files, 1).names.tolist()


def test_the_sample_is_small(image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SAMPLE_IMAGES", 3)
    assert len(sampled(image_files, SETTINGS).jpegs) == 3
    monkeypatch.setattr(module, "SAMPLE_BYTES", 1)
    assert len(sampled(image_files, SETTINGS).jpegs) == 1
