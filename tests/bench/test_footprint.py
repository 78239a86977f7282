import multiprocessing
from dataclasses import dataclass

import pytest
import torch
from recipes import normalised

from fastffdi.bench import footprint
from fastffdi.bench.footprint import Footprint, footprints, observe
from fastffdi.bench.loader import Settings
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

SETTINGS = Settings(torch.device("cpu"), torch.float32, LoaderSettings(1, 4))
TINY = normalised(STEPS["resize"]((16, 16)))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "SECONDS", 0.2)
    monkeypatch.setattr(footprint, "REPEATS", 2)


@pytest.fixture
def observed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The loaders that were to be observed in a process of their own: 1 s and 10 MiB, 2 s and 20 MiB, …"""
    names: list[str] = []

    def made_up(function, name, *job):
        assert function is observe
        names.append(name)
        return len(names), 10.0 * len(names)

    monkeypatch.setattr(footprint, "_in_a_fresh_process", made_up)
    return names


@pytest.mark.parametrize("name", ["torchvision", "cpu", "dali"])
def test_a_loader_has_a_first_batch_and_takes_memory(image_files: Manifest, name: str):
    seconds, mib = observe(name, image_files, TINY, SETTINGS)
    assert 0 < seconds < 60
    assert mib > -50  # memory that is given back can be more than what is taken


def test_the_most_memory_counts_above_that_before(image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    sizes = iter([100.0, 130.0, 170.0, *[150.0] * 1000])
    monkeypatch.setattr(footprint, "memory_mib", lambda: next(sizes))
    monkeypatch.setattr(footprint, "_PERIOD_SECONDS", 0.01)
    assert observe("cpu", image_files, TINY, SETTINGS)[1] == 70.0


def test_loaders_take_turns_in_fresh_processes(image_files: Manifest, observed: list[str]):
    done: list[str] = []
    found = footprints("tiny", TINY, image_files, ["torchvision", "cpu"], SETTINGS, done.append)
    assert observed == done == ["torchvision", "cpu"] * 2
    assert found == [
        Footprint("tiny", "torchvision", 1, (1, 3), (10.0, 30.0), 1.0),
        Footprint("tiny", "cpu", 1, (2, 4), (20.0, 40.0), (2 / 1 + 4 / 3) / 2),
    ]
    assert found[1].to_data()["memory_mib"] == {"median": 30.0, "q25": 25.0, "q75": 35.0}
    assert found[1].to_data()["first_batch_ratio_to_baseline"] == 1.667
    (alone,) = footprints("tiny", TINY, image_files, ["cpu"], SETTINGS)
    assert alone.first_batch_ratio is None


@dataclass(frozen=True)
class Swirl(type(STEPS["horizontal_flip"]())):
    pass


def test_a_loader_that_cannot_express_the_recipe_says_so(
    image_files: Manifest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(footprint, "_in_a_fresh_process", lambda function, *job: function(*job))
    (found,) = footprints("swirl", (TINY[0], Swirl(), TINY[1]), image_files, ["torchvision"], SETTINGS)
    assert (found.problem, found.first_batch_seconds) == ("cannot express swirl", ())
    assert found.to_data()["problem"] == "cannot express swirl"


def test_a_process_is_fresh_and_starts_others_as_usual():
    usual = multiprocessing.get_context(None).get_start_method()
    assert footprint._in_a_fresh_process(multiprocessing.get_start_method) == usual


def test_what_goes_wrong_in_the_process_is_raised(monkeypatch: pytest.MonkeyPatch):
    class Pool:
        def __init__(self, *how):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def submit(self, function):
            return function

    def bad():
        raise UndecodableImage("a.jpg", "no image")

    def dead():
        raise footprint.BrokenProcessPool("killed")

    monkeypatch.setattr(footprint, "ProcessPoolExecutor", Pool)
    for ending in (bad, dead):
        ending.result = ending
    with pytest.raises(UndecodableImage, match=r"a\.jpg"):
        footprint._in_a_fresh_process(bad)
    with pytest.raises(RunError, match=r"has ended \(killed\); if memory ran out"):
        footprint._in_a_fresh_process(dead)
