from dataclasses import replace

import pytest
import torch

from fastffdi.bench import footprint
from fastffdi.bench import loader as bench
from fastffdi.bench import report as module
from fastffdi.bench.report import Report, Subject, report
from fastffdi.data.manifest import Manifest
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

SETTINGS = bench.Settings(torch.device("cpu"), torch.float32, LoaderSettings(1, 4), seconds=0.04, repeats=1)
STEPS_OF_TINY = (
    STEPS["resize"]((16, 16)),
    STEPS["color_jitter"].read({"brightness": 0.2}),
    STEPS["normalize"]((0.5,) * 3, (0.5,) * 3),
)


@pytest.fixture(scope="module")
def subject(image_files: Manifest) -> Subject:
    """Two loaders with one and with two threads."""
    counts = [SETTINGS, replace(SETTINGS, loading=LoaderSettings(2, 4))]
    return Subject("tiny", STEPS_OF_TINY, image_files, ["torchvision", "cpu"], counts)


@pytest.fixture(scope="module")
def taken(subject: Subject) -> tuple[Report, list[str]]:
    """The report, with made-up footprints, and the turns of which it gave the names."""
    turns: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "EPOCH", 100)
        patch.setattr(footprint, "_in_a_fresh_process", lambda *job: (0.5, 10.0))
        return report(subject, turns.append), turns


def test_all_is_measured_with_every_number_of_threads(subject: Subject, taken):
    found, turns = taken
    assert len(turns) == subject.turns == 2 * (2 * 5 * 2 + 3 * 2)
    keys = list(dict.fromkeys((r.settings.threads, r.pipeline) for r in found.results))
    assert keys == [(n, name) for n in (1, 2) for name in ("tiny", "tiny without color_jitter")]
    assert [(f.threads, f.loader) for f in found.footprints] == [
        (n, name) for n in (1, 2) for name in ("torchvision", "cpu")
    ]
    assert found.verdict.endswith(" would help.")


def test_the_record_holds_loaders_ceilings_footprints_scaling_and_verdict(taken):
    found, _ = taken
    data = found.to_data()
    assert list(data) == [
        "settings", "results", "ceilings", "decoded", "footprint", "scaling", "verdict",
    ]  # fmt: skip
    assert (data["settings"]["protocol"], data["settings"]["threads"]) == ("thorough", [1, 2])
    assert {(row["turns"], row["cut"]) for row in data["results"] + data["ceilings"]} == {(1, False)}
    assert {row["loader"] for row in data["results"]} == {"torchvision", "cpu"}
    assert {row["ceiling"] for row in data["ceilings"]} == {"file read", "JPEG decode", "memory copy"}
    assert data["footprint"][0]["first_batch_seconds"]["median"] == 0.5
    assert (data["decoded"], data["verdict"]) == ("23 JPEGs in memory", found.verdict)


def made_up(subject: Subject, *results: bench.Result) -> Report:
    return Report(subject, None, results, (), "")


def result(name: str, *rates: float, pipeline: str = "tiny", threads: int = 1, **more) -> bench.Result:
    return bench.Result(
        pipeline, name, replace(SETTINGS, loading=LoaderSettings(threads, 4)), rates=rates, **more
    )


def test_scaling_is_from_the_fewest_threads_to_the_most(subject: Subject):
    found = made_up(
        subject,
        result("cpu", 90, 100, 110),
        result("cpu", 10, pipeline="tiny without color_jitter"),
        result("dali", 50),
        result("cpu", 190, threads=2),
        result("dali", threads=2, problem="broken"),
    )
    assert found.scaling == {"cpu": 1.9}


def test_one_number_of_threads_does_not_scale(subject: Subject):
    assert made_up(replace(subject, settings=[SETTINGS]), result("cpu", 90)).scaling == {}


def test_the_verdict_is_on_the_fastest_loader_with_the_most_threads(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "verdict", lambda facts: facts)
    drawn = module.ceilings.sample(subject.manifest, 1, 0)
    shares = {"JPEG decode": 0.4}
    facts = module._verdict(
        subject,
        drawn,
        [
            result("cpu", 900),
            result("torchvision", 100, threads=2),
            result("cpu", 300, 500, threads=2, cpu_seconds_per_1000=(4.0, 4.0), shares=shares),
            result("cpu", 800, pipeline="tiny without color_jitter", threads=2),
            result("file read", 9000, threads=2, ceiling=True),
        ],
    )
    cores = min(2, module.usable_cores())
    assert (facts.loader, facts.cores, facts.shares) == ("cpu", cores, shares)
    assert facts.busy == pytest.approx(1.6 / cores)
    assert (facts.image, facts.target) == (drawn.median_size, (16, 16))
    assert (facts.prefix, facts.others) == (("resize",), ("dali",))


def test_without_a_figure_there_is_no_verdict(subject: Subject):
    said = module._verdict(subject, None, [result("cpu", threads=2, problem="broken")])
    assert said == "No loader was measured, so there is nothing to say about what limits."
