import errno
import math
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import one_torch_thread
from experiments import (
    figures,
    finished,
    kept,
    prepared,
    refused,
    scored,
    settings_of,
    with_mixing,
    with_recipe,
)
from safetensors.torch import load_file

from fastffdi.data.layout import find_dataset
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.evaluation import metrics
from fastffdi.files import DiskFull, atomic
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import checkpoint, compilation
from fastffdi.recipe.recipe import load, parse
from fastffdi.training import state
from fastffdi.training.folder import BEST, LAST, TABLE

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tiny, dataset, tmp_path_factory):
    """A finished run, to be looked at only: its experiment and its epochs."""
    settings = settings_of(tiny, tmp_path_factory.mktemp("finished") / "run")
    with one_torch_thread():
        return finished(settings, dataset)


# A finished run.


def test_a_run_leaves_two_checkpoints_a_table_and_events(run):
    experiment, _ = run
    found = sorted(re.sub(r"(?<=tfevents).*", "", path.name) for path in experiment.settings.output.iterdir())
    assert found == [BEST, "events.out.tfevents", LAST, TABLE, "state-15.safetensors"]


def test_what_differs_in_brightness_is_learnt(run):
    experiment, results = run
    assert results[-1].train_loss < 0.5 * results[0].train_loss
    assert experiment.best.validation["auc"] == 1


def test_the_table_holds_the_epochs(run):
    experiment, results = run
    rows = figures(experiment.settings.output)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["train_loss"] for row in rows] == [f"{result.train_loss:.6g}" for result in results]


def test_the_schedule_spans_all_epochs(run):
    experiment, results = run
    # Of 15 updates 2 warm up, 13 follow half a cosine to a thousandth; the highest of the epochs are those of
    # updates 2, 5 and 10.
    cosine = [1e-5 + (0.01 - 1e-5) * (1 + math.cos(math.pi * update / 13)) / 2 for update in (3, 8, 13)]
    assert [result.learning_rate for result in results] == pytest.approx([0.01, *cosine[:2]])
    assert experiment.trainer.optimiser.learning_rate == pytest.approx(cosine[2])


def test_the_best_checkpoint_gives_the_scores_that_were_reported(run, dataset):
    experiment, _ = run
    found = metrics.summary(dataset.val.labels, scored(experiment.settings.output / BEST, dataset))
    assert found == pytest.approx(experiment.best.validation, abs=1e-6)
    assert found["auc"] == experiment.best.validation["auc"]


def test_a_checkpoint_holds_what_was_in_use_and_not_what_the_backbone_was_made_for(run):
    settings = run[0].settings
    found = checkpoint.read(settings.output / LAST)
    assert (found.size, found.mean, found.std) == ((32, 32), (0.4, 0.5, 0.6), (0.229, 0.224, 0.225))
    assert (found.backbone, found.labels, found.seed) == ("test_efficientnet", ("real", "fake"), 7)
    assert found.versions["torch"]
    assert found.weights_data == "nothing"
    own = load(settings.pipeline).resolve((1, 1), (0.0,) * 3, (1.0,) * 3)
    assert parse(found.recipe, "checkpoint") == own


def test_the_same_seed_gives_the_same_figures_whatever_the_threads(settings, dataset, tmp_path):
    settings, tables = replace(with_mixing(settings, tmp_path), epochs=2), []
    for threads in (1, 2):
        loading = LoaderSettings(threads=threads, batch_size=8)
        finished(replace(settings, loading=loading, output=tmp_path / str(threads)), dataset)
        tables.append(figures(tmp_path / str(threads)))
    assert tables[0] == tables[1]


# Which epoch is kept, and where. The model of an epoch is known by the bias of its head.


@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        ([(0.5, 0.9), (0.9, 0.8), (0.7, 0.1)], 1),
        ([(0.5, 0.9), (0.7, 0.8), (0.9, 0.1)], 2),
        ([(0.8, 0.9), (0.9, 0.8), (0.9, 0.1)], 1),  # the first of equal ones
        ([(0.0, 0.9), (0.0, 0.8)], 0),
        ([(None, 0.9), (None, 0.1), (None, 0.5)], 1),  # one class only: by the loss
        ([(None, 0.1), (None, 0.9), (None, 0.1)], 0),
    ],
)
def test_the_best_epoch_and_the_last_are_kept(settings, dataset, fit, epochs, best):
    fit(*epochs)
    experiment, results = finished(settings, dataset)
    assert experiment.best is results[best]
    assert kept(settings.output, BEST) == (best, best)
    assert kept(settings.output, LAST) == (len(epochs) - 1, len(epochs) - 1)
    for name, epoch in ((BEST, best), (LAST, -1)):
        assert checkpoint.read(settings.output / name).metrics == results[epoch].validation


def test_an_epoch_is_on_disk_before_the_next_is_yielded(settings, dataset, fit):
    fit((0.5, 0.9), (0.9, 0.8), (0.7, 0.1))
    with prepared(settings, dataset) as experiment:
        epochs = experiment.run(lambda images, means: None)
        for epoch, best in enumerate((0, 1, 1)):
            next(epochs)
            assert len(figures(settings.output)) == epoch + 1
            if epoch:  # the present one's is being written, or is written already
                assert kept(settings.output, LAST) in ((epoch - 1, epoch - 1), (epoch, epoch))
                assert kept(settings.output, BEST)[0] in (best - 1, best)
        assert next(epochs, None) is None
        assert (kept(settings.output, LAST), kept(settings.output, BEST)) == ((2, 2), (1, 1))


@pytest.mark.parametrize("writer", ["checkpoint", "state"])
def test_a_disk_that_is_full_ends_the_run_and_what_was_written_before_stays(
    settings, dataset, fit, monkeypatch, writer
):
    fit((0.5, 0.9), (0.9, 0.8), (0.7, 0.1))
    with prepared(settings, dataset) as experiment:
        epochs = experiment.run(lambda images, means: None)
        next(epochs)
        next(epochs)
        before = kept(settings.output, LAST)[0]
        monkeypatch.setattr(f"fastffdi.{OWNERS[writer]}.write_tensors", full)
        message = r"(best|last|state-\d+)\.safetensors: the disk is full; 1 MiB are needed; free some room or"
        with pytest.raises(DiskFull, match=message):
            list(epochs)
    assert kept(settings.output, LAST)[0] >= before
    assert len(state.files(settings.output)) >= 1
    assert state.newest(settings.output, pytest.fail) is not None
    assert not list(settings.output.glob(".*"))


OWNERS = {"checkpoint": "model.checkpoint", "state": "training.state"}


def full(path, tensors, metadata):
    with atomic(path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_table_without_room_ends_the_run_and_stays_as_it_was(settings, dataset, fit, monkeypatch):
    fit((0.5, 0.9), (0.9, 0.8))
    with prepared(settings, dataset) as experiment:
        epochs = experiment.run(lambda images, means: None)
        next(epochs)
        before = (settings.output / TABLE).read_bytes()
        monkeypatch.setattr("fastffdi.training.log.atomic", lambda path: full(path, {}, {}))
        with pytest.raises(DiskFull, match=r"metrics\.csv: the disk is full; 1 MiB are needed"):
            next(epochs)
    assert (settings.output / TABLE).read_bytes() == before


def test_a_folder_that_can_no_longer_be_written_to_ends_the_run(settings, dataset, fit, monkeypatch):
    def withdrawn(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    fit((0.5, 0.9))
    monkeypatch.setattr("fastffdi.training.log.atomic", withdrawn)
    message = (
        f"^--output {settings.output}: cannot be written to .Permission denied.; make it writable, and go on"
    )
    with pytest.raises(RunError, match=message):
        finished(settings, dataset)


def test_a_checkpoint_names_the_size_and_normalisation_of_evaluation(settings, dataset, fit, tmp_path):
    fit((0.5, 0.9))
    (tmp_path / "two.yaml").write_text(
        "train: [resize: {size: [24, 40]}, normalize: {mean: [0, 0, 0], std: [1, 1, 1]}]\n"
        "eval: [resize: {size: [32, 48]}, normalize: {mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6]}]\n"
    )
    finished(replace(settings, pipeline=str(tmp_path / "two.yaml")), dataset)
    found = checkpoint.read(settings.output / BEST)
    assert (found.size, found.mean, found.std) == ((32, 48), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_a_folder_below_folders_that_are_not_there_is_made(settings, dataset, fit):
    fit((0.5, 0.9))
    finished(replace(settings, output=settings.output / "a" / "b"), dataset)
    assert (settings.output / "a" / "b" / BEST).is_file()


def test_a_folder_with_other_files_is_used(settings, dataset, fit):
    fit((0.5, 0.9))
    settings.output.mkdir()
    (settings.output / "notes.txt").write_text("mine")
    finished(settings, dataset)
    assert (settings.output / "notes.txt").read_text() == "mine"
    assert (settings.output / BEST).is_file()


def test_overwrite_replaces_a_run_and_nothing_else(settings, dataset, fit):
    fit((0.9, 0.5), (0.5, 0.9))
    finished(settings, dataset)
    (settings.output / "notes.txt").write_text("mine")
    with prepared(replace(settings, overwrite=True), dataset) as failing:
        fit()
        list(failing.run(lambda images, means: None))
    assert [path.name for path in settings.output.iterdir()] == ["notes.txt"]
    fit((0.1, 0.5))
    finished(replace(settings, overwrite=True), dataset)
    assert [row["val_auc"] for row in figures(settings.output)] == ["0.1"]
    assert kept(settings.output, BEST) == kept(settings.output, LAST) == (0, 0)
    assert len(list(settings.output.glob("events.*"))) == 1
    assert (settings.output / "notes.txt").read_text() == "mine"


# Images, steps and classes that are not as usual.


@pytest.fixture
def spoilt(tiny, tmp_path):
    """The data set with one training image that is none, and that image's path."""
    folder = tmp_path / "spoilt"
    shutil.copytree(tiny, folder)
    victim = folder / "trainset" / "07.jpg"
    victim.write_bytes(b"no image")
    return find_dataset(folder), victim


def test_an_image_that_cannot_be_decoded_ends_the_run_by_its_name_if_asked_for(settings, spoilt):
    broken, victim = spoilt
    with pytest.raises(UndecodableImage, match=f"^{victim}: cannot be decoded"):
        finished(replace(settings, on_corrupt="fail"), broken)


@pytest.mark.parametrize("loader", ["cpu", "dali", "torchvision"])
def test_an_image_that_cannot_be_decoded_is_skipped_named_and_counted(settings, spoilt, loader):
    broken, victim = spoilt
    experiment, results = finished(replace(settings, backend=loader, epochs=2), broken)
    assert [result.corrupt for result in results] == [1, 1]
    assert [row["corrupt"] for row in figures(settings.output)] == ["1", "1"]
    assert experiment.corrupt == {victim.name: "not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image"}
    lines = (settings.output / "quarantine.csv").read_text().splitlines()
    assert lines == [
        "img_name,reason,loader,epoch",
        f'{victim.name},"not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image",{loader},1',
    ]


@pytest.mark.parametrize(
    "loader", ["cpu", pytest.param("process", marks=pytest.mark.slow), "dali", "torchvision"]
)
def test_of_a_tenth_that_cannot_be_decoded_nothing_is_learnt_and_all_others_come_once_with_their_label(
    settings, dataset, tmp_path, monkeypatch, loader
):
    shutil.copytree(dataset.train.root, tmp_path / "trainset")
    train, bad, seen = replace(dataset.train, root=str(tmp_path / "trainset")), {3, 12, 13, 30}, []
    for path in map(Path, train.paths(np.array(sorted(bad)))):
        path.write_bytes(path.read_bytes()[:100])

    def prepared(self, batch, real=DeviceLoader.prepared):
        given = real(self, batch)
        seen.extend(zip(batch.rows.tolist(), given.labels.tolist(), given.valid.tolist(), strict=True))
        return given

    monkeypatch.setattr(DeviceLoader, "prepared", prepared)
    loading = replace(settings.loading, process=loader == "process")
    backend = "cpu" if loader == "process" else loader
    settings = replace(settings, backend=backend, loading=loading, max_corrupt=0.2, epochs=1)
    experiment, (result,) = finished(settings, replace(dataset, train=train))
    epoch = seen[: len(train)]
    assert sorted(row for row, _, _ in epoch) == list(range(len(train)))
    assert {row for row, _, valid in epoch if not valid} == bad
    assert all(label == train.labels[row] for row, label, valid in epoch if valid)
    assert sorted(experiment.corrupt) == sorted(train.names[sorted(bad)])
    assert (result.corrupt, np.isfinite(result.train_loss)) == (len(bad), True)


def test_a_validation_image_that_cannot_be_decoded_is_in_no_figure(settings, spoilt, tmp_path):
    broken, _ = spoilt
    (name,) = broken.val.names[:1]
    Path(broken.val.root, name).write_bytes(b"none")
    _, (result,) = finished(replace(settings, max_corrupt=0.5, epochs=1), broken)
    kept = broken.val.take(slice(1, None))
    scores = scored(settings.output / LAST, replace(broken, val=kept))
    assert metrics.summary(kept.labels, scores) == pytest.approx(result.validation, abs=1e-6)
    assert result.corrupt == 2


def test_too_many_that_cannot_be_decoded_end_the_run(settings, spoilt):
    broken, _ = spoilt
    Path(broken.val.root, broken.val.names[0]).write_bytes(b"none")
    with pytest.raises(RunError, match=r"^2 of 56 images cannot be decoded, more than --max-corrupt 0.01"):
        finished(settings, broken)


def test_it_is_found_at_once_where_sizes_are_read_anyway(settings, spoilt, tmp_path):
    steps = "[center_crop: {size: [32, 32]}, normalize: {mean: imagenet, std: imagenet}]"
    (tmp_path / "crop.yaml").write_text(f"train: {steps}\neval: {steps}\n")
    broken, victim = spoilt
    settings = replace(settings, pipeline=str(tmp_path / "crop.yaml"), on_corrupt="fail")
    message = refused(settings, broken, UndecodableImage)
    assert message.startswith(str(victim))


def test_the_demo_models_auc_is_at_least_nine_tenths(demo_run):
    assert demo_run.best.validation["auc"] >= 0.90


@pytest.mark.parametrize("loader", ["cpu", "dali"])
def test_five_crops_teach_and_are_averaged_in_prediction(settings, dataset, loader):
    crop = "{five_crop: {size: [24, 24]}}, horizontal_flip,"
    settings = with_recipe(settings, crop, "{ten_crop: {size: [24, 24]}},", "mix: {cutmix: 1}")
    experiment, (result,) = finished(replace(settings, backend=loader), dataset)
    scores = scored(experiment.settings.output / LAST, dataset, loader)
    assert metrics.summary(dataset.val.labels, scores) == pytest.approx(result.validation, abs=1e-6)


def test_a_function_of_ones_own_trains_and_is_announced_and_is_not_called_in_prediction(
    settings, dataset, tmp_path, monkeypatch
):
    (tmp_path / "own_step.py").write_text(
        "calls = []\ndef dark(images):\n    calls.append(1)\n    return images // 2\n"
    )
    monkeypatch.delitem(sys.modules, "own_step", raising=False)
    settings, said = with_recipe(settings, "{python: 'own_step:dark'},"), []  # beside it is the module
    with prepared(settings, dataset, said.append) as experiment:
        list(experiment.run(lambda images, means: None))
    calls = sys.modules["own_step"].calls
    assert len(calls) == len(experiment.train)
    warning = "runs code of yours, own_step:dark: what it does does not follow from the seed"
    assert said[0] == f"{settings.pipeline} {warning}"
    scored(settings.output / LAST, dataset)
    assert len(calls) == len(experiment.train)


def test_a_run_that_fails_in_its_first_epoch_leaves_a_folder_that_can_be_used_again(settings, dataset):
    settings = replace(settings, epochs=1, on_corrupt="fail")
    bad = replace(dataset, train=replace(dataset.train, root="/nowhere"))
    with prepared(settings, bad) as experiment, pytest.raises(UndecodableImage):
        list(experiment.run(lambda images, means: None))
    assert not (settings.output / TABLE).exists()
    finished(settings, dataset)


def test_an_epoch_of_balanced_classes_shows_more_images(settings, dataset):
    fewer = np.concatenate(
        [np.flatnonzero(dataset.train.labels == 0), np.flatnonzero(dataset.train.labels)[:5]]
    )
    uneven = replace(dataset, train=dataset.train.take(fewer))
    shown = []
    with prepared(replace(settings, balance=True, epochs=1), uneven) as experiment:
        list(experiment.run(lambda images, means: shown.append(images)))
    assert sum(shown) == experiment.images == 20 + 20 + 16


# A compiled step.


def compared(settings, dataset):
    """Losses and weights of two runs of 20 steps, compiled and not."""
    found = []
    for compile in (True, False):
        output = settings.output / str(compile)
        experiment, results = finished(replace(settings, epochs=4, compile=compile, output=output), dataset)
        weights = load_file(experiment.settings.output / LAST)
        found.append(({result.epoch: result.train_loss for result in results}, weights))
    return found


def test_a_compiled_step_trains_as_the_plain_one(settings, dataset, monkeypatch):
    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": "eager"})
    (losses, weights), (plain_losses, plain_weights) = compared(settings, dataset)
    assert losses == pytest.approx(plain_losses, abs=1e-3)
    assert weights.keys() == plain_weights.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, plain_weights[name], rtol=0, atol=1e-3)


@pytest.mark.slow
def test_torchs_compiler_trains_as_the_plain_step(settings, dataset):
    (losses, weights), (plain_losses, plain_weights) = compared(settings, dataset)
    assert losses == pytest.approx(plain_losses, abs=1e-3)
    assert weights.keys() == plain_weights.keys()


def test_a_compiled_step_that_fails_ends_the_run_in_one_line(settings, dataset, monkeypatch):
    def broken(graph, inputs):
        raise ValueError("no such\ninstruction")

    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": broken})
    with pytest.raises(RunError, match=r"^--compile: torch cannot compile this step \(.*no such instruction"):
        finished(replace(settings, compile=True), dataset)
    assert not (settings.output / LAST).exists()
