"""What a dry run says, and that it leaves nothing behind."""

import shutil
from dataclasses import replace

import pytest
from experiments import finished

from fastffdi.data.layout import find_dataset
from fastffdi.errors import SettingError
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.training import rehearsal
from fastffdi.training.optimisation import Optimisation
from fastffdi.training.rehearsal import Measured, rehearse

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def told(settings, dataset):
    """told(...): what would be done with other settings."""

    def run(**changed):
        return rehearse(replace(settings, **changed), dataset, lambda line: None)

    return run


def test_it_says_what_would_be_done_and_writes_nothing(told, tmp_path):
    said = told()
    assert said["images"] == "training 40 (20 real, 20 fake), validation 16 (8 real, 8 fake)"
    assert said["backbone"] == "test_efficientnet, 0.1 million parameters"
    assert said["recipe"].endswith("recipe.yaml, images of 32×32")
    assert said["epochs"] == (
        "3 of 5 updates of 8 images: 15 updates, the learning rate rises to 0.01 in the first 2"
    )
    assert said["by"] == "loader cpu with 1 threads, model on cpu, float32, as asked for"
    assert "left" not in said
    assert list(tmp_path.iterdir()) == []


def test_batches_that_make_one_update_are_counted_as_one(told):
    assert told(optimisation=Optimisation(accumulate=2))["epochs"].startswith(
        "3 of 3 updates of 16 images: 9 updates, "
    )


def test_the_time_follows_from_the_slower_of_loading_and_training(told, monkeypatch):
    measured = Measured(2.0, 3.0, 5 * 10**8, 10**6, 3 * 10**6)
    monkeypatch.setattr(rehearsal, "measure", lambda experiment: measured)
    said = told()
    assert said["time"] == (  # 3 epochs of 56 images in batches of 8, 3 s each
        "about 63 s: 3 images/s in 2 batches after one to warm up; validation is counted like training"
    )
    assert said["memory"] == "about 500.0 MB of this process, seen in these batches"
    assert said["disk"].startswith("about 11.0 MB in ")
    assert said["disk"].endswith("2 checkpoints, 2 states and one that is being written; 2.0 MB at the end")


def test_what_is_measured_is_what_a_run_has(told, settings, dataset, monkeypatch):
    seen, measure = [], rehearsal.measure
    monkeypatch.setattr(rehearsal, "measure", lambda e: (seen.append(measure(e)), seen[-1])[1])
    told()
    (measured,) = seen
    assert measured.step_seconds > 0
    assert measured.loading_seconds > 0
    finished(replace(settings, epochs=1), dataset)
    best = (settings.output / "best.safetensors").stat().st_size
    assert 0.9 * best < measured.weights_bytes <= best
    assert 2.5 * measured.weights_bytes < measured.state_bytes < 3.5 * measured.weights_bytes


def test_of_a_single_batch_no_time_is_known(told):
    assert told(loading=LoaderSettings(1, 64))["time"] == "unknown: an epoch is a single batch"


def test_a_cache_is_planned_and_not_made(told, tmp_path):
    said = told(cache=tmp_path / "kept", backend="auto")
    assert said["cache"] == f"0.2 MB for 56 images of 32×32, 0 stored, in {tmp_path}/kept"
    assert ", without --cache; " in said["time"]
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_would_refuse_is_refused(told):
    with pytest.raises(SettingError, match="--loader nonsense: unknown"):
        told(backend="nonsense")


def test_of_a_finished_run_nothing_is_left(told, settings, dataset):
    finished(replace(settings, epochs=1), dataset)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in settings.output.iterdir())
    said = told(epochs=1, resume="auto")
    assert said["left"] == f"nothing: the run in {settings.output} is finished"
    assert "time" not in said
    assert sorted((path.name, path.stat().st_mtime_ns) for path in settings.output.iterdir()) == before


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (99, "99 s"), (300, "5 min"), (7200, "2.0 h")])
def test_a_duration_in_words(seconds, words):
    assert rehearsal._duration(seconds) == words


def test_corrupt_images_are_not_noted(settings, tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "spoilt")
    for path in sorted((folder / "trainset").iterdir())[:20]:
        path.write_bytes(path.read_bytes()[:300])
    rehearse(settings, find_dataset(folder), lambda line: None)
    assert not settings.output.exists()


def test_updates_of_several_batches_are_said_as_such(told):
    said = told(optimisation=Optimisation(accumulate=2))["epochs"]
    assert said.startswith("3 of 3 updates of 16 images: 9 updates, ")
