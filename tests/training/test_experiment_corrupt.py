"""Runs with images that cannot be decoded."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from experiments import figures, finished, refused, scored

from fastffdi.data.layout import find_dataset
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.evaluation import metrics
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.training.folder import LAST

pytestmark = pytest.mark.usefixtures("one_thread")


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
