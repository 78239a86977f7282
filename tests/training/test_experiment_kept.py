"""Which epoch of a run is kept, and where. The model of an epoch is known by the bias of its head."""

import errno
from dataclasses import replace

import pytest
from experiments import figures, finished, kept, prepared

from fastffdi.errors import RunError, UndecodableImage
from fastffdi.files import DiskFull, atomic
from fastffdi.model import checkpoint
from fastffdi.training import state
from fastffdi.training.folder import BEST, LAST, TABLE

pytestmark = pytest.mark.usefixtures("one_thread")


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
    assert experiment.best == results[best]
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
    assert sorted(path.name for path in settings.output.iterdir()) == ["config.yaml", "notes.txt"]
    fit((0.1, 0.5))
    finished(replace(settings, overwrite=True), dataset)
    assert [row["val_auc"] for row in figures(settings.output)] == ["0.1"]
    assert kept(settings.output, BEST) == kept(settings.output, LAST) == (0, 0)
    assert len(list(settings.output.glob("events.*"))) == 1
    assert (settings.output / "notes.txt").read_text() == "mine"


def test_a_run_that_fails_in_its_first_epoch_leaves_a_folder_that_can_be_used_again(settings, dataset):
    settings = replace(settings, epochs=1, on_corrupt="fail")
    bad = replace(dataset, train=replace(dataset.train, root="/nowhere"))
    with prepared(settings, bad) as experiment, pytest.raises(UndecodableImage):
        list(experiment.run(lambda images, means: None))
    assert not (settings.output / TABLE).exists()
    finished(settings, dataset)
