import csv
import json
import math
import re
import shutil
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import one_torch_thread
from safetensors.torch import load_file

from fastffdi.data.layout import find_dataset
from fastffdi.errors import DataError, RecipeError, SettingError, UndecodableImage
from fastffdi.evaluation import metrics
from fastffdi.inference.predict import Predictor
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.dali import DaliLoader
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.model import backbone, checkpoint
from fastffdi.recipe.recipe import load, parse
from fastffdi.training.experiment import BEST, LAST, prepare
from fastffdi.training.log import TABLE
from fastffdi.training.loop import EpochResult, Trainer
from fastffdi.training.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")

CLOCKED = ("images_per_second", "wait_share")


def settings_of(tiny, output):
    """Three epochs of five batches; no value is a default, so that one that gets lost is missed."""
    return Settings(
        "test_efficientnet",
        str(tiny / "recipe.yaml"),
        epochs=3,
        learning_rate=0.01,
        output=output,
        loading=LoaderSettings(threads=1, batch_size=8),
        backend="cpu",
        device="cpu",
        amp="off",
        pretrained=False,
        seed=7,
    )


@pytest.fixture
def settings(tiny, tmp_path):
    return settings_of(tiny, tmp_path / "run")


@pytest.fixture(scope="module")
def dataset(tiny):
    return find_dataset(tiny)


@pytest.fixture(scope="module")
def run(tiny, dataset, tmp_path_factory):
    """A finished run, to be looked at only: its experiment and its epochs."""
    settings = settings_of(tiny, tmp_path_factory.mktemp("finished") / "run")
    with one_torch_thread():
        return finished(settings, dataset)


def prepared(settings, dataset, say=lambda line: None):
    return closing(prepare(settings, dataset, say))


def finished(settings, dataset):
    """The experiment, run to its end, and its epochs."""
    with prepared(settings, dataset) as experiment:
        return experiment, list(experiment.run(lambda images, means: None))


def scored(path, dataset, backend="cpu"):
    predictor = Predictor(path, device="cpu", amp="off", backend=backend, loading=LoaderSettings(1, 8))
    return predictor(dataset.val)


def figures(folder):
    """metrics.csv without what the clock decides."""
    with (folder / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name not in CLOCKED} for row in rows]


# A finished run.


def test_a_run_leaves_two_checkpoints_a_table_and_events(run):
    experiment, _ = run
    found = sorted(re.sub(r"(?<=tfevents).*", "", path.name) for path in experiment.settings.output.iterdir())
    assert found == [BEST, "events.out.tfevents", LAST, TABLE]


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
    # Of 15 updates 2 warm up, 13 follow half a cosine to a thousandth; epochs begin with updates 0, 5 and 10.
    cosine = [1e-5 + (0.01 - 1e-5) * (1 + math.cos(math.pi * update / 13)) / 2 for update in (3, 8, 13)]
    assert [result.learning_rate for result in results] == pytest.approx([1e-4, *cosine[:2]])
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
    own = load(settings.pipeline).resolve((1, 1), (0.0,) * 3, (1.0,) * 3)
    assert parse(found.recipe, "checkpoint") == own


def test_the_same_seed_gives_the_same_figures_whatever_the_threads(settings, dataset, tmp_path):
    settings, tables = replace(with_mixing(settings, tmp_path), epochs=2), []
    for threads in (1, 2):
        loading = LoaderSettings(threads=threads, batch_size=8)
        finished(replace(settings, loading=loading, output=tmp_path / str(threads)), dataset)
        tables.append(figures(tmp_path / str(threads)))
    assert tables[0] == tables[1]


# Which epoch is kept. The model of an epoch is known by the bias of its head.


@pytest.fixture
def fit(monkeypatch):
    """fit((auc, log_loss), ...): runs train nothing, and give these epochs."""

    def given(*epochs):
        def told(self, train, val, labels, number, progress):
            for epoch, (auc, log_loss) in enumerate(epochs):
                self.model.classifier.bias.data.fill_(epoch)
                validation = {"auc": auc, "log_loss": log_loss, "accuracy": 0.5}
                yield EpochResult(epoch, 0.7, 0.5, 100.0, 0.5, 1e-3, validation)

        monkeypatch.setattr(Trainer, "fit", told)

    return given


def kept(output, name):
    """The epoch that a checkpoint says it is of, and the one whose weights it holds."""
    return checkpoint.read(output / name).epoch, int(load_file(output / name)["classifier.bias"][0])


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


def test_an_epoch_is_on_disk_before_the_next_begins(settings, dataset, fit):
    fit((0.5, 0.9), (0.9, 0.8), (0.7, 0.1))
    with prepared(settings, dataset) as experiment:
        epochs = experiment.run(lambda images, means: None)
        for epoch, best in enumerate((0, 1, 1)):
            next(epochs)
            assert kept(settings.output, LAST) == (epoch, epoch)
            assert kept(settings.output, BEST) == (best, best)
            assert len(figures(settings.output)) == epoch + 1


def test_a_checkpoint_names_the_size_and_normalisation_of_evaluation(settings, dataset, fit, tmp_path):
    fit((0.5, 0.9))
    (tmp_path / "two.yaml").write_text(
        "train: [resize: {size: [24, 40]}, normalize: {mean: [0, 0, 0], std: [1, 1, 1]}]\n"
        "eval: [resize: {size: [32, 48]}, normalize: {mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6]}]\n"
    )
    finished(replace(settings, pipeline=str(tmp_path / "two.yaml")), dataset)
    found = checkpoint.read(settings.output / BEST)
    assert (found.size, found.mean, found.std) == ((32, 48), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


# What is built from the settings.


def orders(loader):
    """The rows of the first two epochs, in the order in which their images come."""
    return [np.concatenate([batch.rows for batch in loader.backend.epoch(k)]).tolist() for k in range(2)]


def test_training_images_are_shuffled_anew_in_every_epoch(settings, dataset):
    with prepared(settings, dataset) as experiment:
        first, second = orders(experiment.train)
    assert sorted(first) == sorted(second) == list(range(40))
    assert list(range(40)) != first != second != list(range(40))


def test_validation_images_come_in_their_order(settings, dataset):
    with prepared(settings, dataset) as experiment:
        assert orders(experiment.val) == [list(range(16))] * 2


def test_each_split_has_its_images_and_its_steps(settings, dataset):
    with prepared(settings, dataset) as experiment:
        for loader, split in ((experiment.train, dataset.train), (experiment.val, dataset.val)):
            assert list(loader.backend.planner.manifest.paths()) == list(split.paths())
        names = [[step.name() for step in loader.backend.planner.steps] for loader in loaders_of(experiment)]
    assert names == [["resize", "horizontal_flip", "normalize"], ["resize", "normalize"]]


def loaders_of(experiment):
    return experiment.train, experiment.val


def test_the_seed_decides_order_augmentation_mixing_and_weights(settings, dataset, tmp_path, monkeypatch):
    seeds, seed = [], torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda given: (seeds.append(given), seed(given))[1])
    with prepared(with_mixing(settings, tmp_path), dataset) as experiment:
        for loader in loaders_of(experiment):
            planner = loader.backend.planner
            assert (planner.sampler.seed, planner.rng.seed) == (7, 7)
        assert experiment.train.mixer.rng.seed == 7
    assert seeds == [7]


def test_the_model_is_built_as_asked_for(settings, dataset, monkeypatch):
    seen = []

    def build(*given):
        seen.append(given)
        raise SettingError("enough")

    def say(line):
        raise AssertionError(line)

    monkeypatch.setattr("fastffdi.model.backbone.build", build)
    for pretrained in (True, False):
        with pytest.raises(SettingError, match="enough"):
            prepare(replace(settings, pretrained=pretrained, weights=Path("w")), dataset, say)
    assert seen == [("test_efficientnet", pretrained, Path("w"), say) for pretrained in (True, False)]


KINDS = [
    ({"backend": "cpu"}, CpuLoader, "SourceDecoder"),
    ({"backend": "dali"}, DaliLoader, "SourceDecoder"),
    ({"backend": "torchvision"}, TorchvisionLoader, "SourceDecoder"),
    ({"backend": "auto"}, CpuLoader, "SourceDecoder"),
    ({"backend": "auto", "cache": True}, CpuLoader, "CachedDecoder"),
    ({"backend": "auto", "loading": LoaderSettings(1, 8, process=True)}, ProcessLoader, "SourceDecoder"),
]


@pytest.mark.parametrize(("given", "backend", "decoder"), KINDS)
def test_loaders_and_decoders_are_the_ones_asked_for(settings, dataset, tmp_path, given, backend, decoder):
    if "cache" in given:
        given = given | {"cache": tmp_path / "cache"}
    with prepared(replace(settings, **given), dataset) as experiment:
        for loader in loaders_of(experiment):
            assert type(loader.backend) is backend
            assert type(loader.backend.planner.decoder).__name__ == decoder
            assert loader.backend.planner.batch_size == 8
    assert (tmp_path / "cache").is_dir() == ("cache" in given)


@pytest.mark.parametrize("scaled", [False, True])
def test_images_are_decoded_scaled_where_the_recipe_says_so(settings, dataset, scaled):
    settings = with_recipe(settings, more="decode: {scaled: true}" if scaled else "")
    with prepared(settings, dataset) as experiment:
        assert [loader.backend.planner.decoder.scaled for loader in loaders_of(experiment)] == [scaled] * 2


@pytest.mark.parametrize(("amp", "dtype"), [("off", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_is_the_one_asked_for(settings, dataset, amp, dtype):
    with prepared(replace(settings, amp=amp), dataset) as experiment:
        assert experiment.trainer.precision.name == amp
        assert [loader.stage.dtype for loader in loaders_of(experiment)] == [dtype] * 2
        assert next(experiment.trainer.model.parameters()).dtype == torch.float32


def test_a_cache_is_estimated_aloud(settings, dataset, tmp_path):
    said = []
    with prepared(replace(settings, cache=tmp_path / "cache"), dataset, said.append):
        assert len(said) == 3
        assert "56 images" in said[2]


def with_mixing(settings, folder):
    text = load(settings.pipeline).to_data() | {"mix": {"mixup": 0.2, "cutmix": 1.0}}
    (folder / "mixed.yaml").write_text(json.dumps(text))  # which is YAML too
    return replace(settings, pipeline=str(folder / "mixed.yaml"))


def test_a_recipe_that_mixes_is_run_with_a_mixer(settings, dataset, tmp_path):
    with prepared(with_mixing(settings, tmp_path), dataset) as experiment:
        assert experiment.train.mixer.mix == parse(experiment.recipe.to_data(), "").mix
        assert experiment.val.mixer is None
    with prepared(settings, dataset) as experiment:
        assert experiment.train.mixer is None


def test_balance_repeats_the_smaller_class(settings, dataset):
    few = dataset.train.take(np.r_[0:40:2, 1:9:2])  # 20 real, 4 fake
    with prepared(replace(settings, balance=True), replace(dataset, train=few)) as experiment:
        assert len(experiment.train) == 5
        labels = np.concatenate([batch.labels for batch in experiment.train.backend.epoch(0)])
    assert np.bincount(labels).tolist() == [20, 20]


def test_the_device_loader_and_precision_are_said(settings, dataset):
    said = []
    with prepared(settings, dataset, said.append):
        pass
    assert said[-1:] == ["test_efficientnet on cpu, loader cpu, float32, as asked for"]


RANDOM = "test_efficientnet starts from random weights"


def test_random_weights_are_said_and_others_are_not_called_random(settings, dataset, tiny_run):
    weights, said = tiny_run.settings.output / LAST, ([], [])
    for given, lines in zip((None, weights), said, strict=True):
        with prepared(replace(settings, weights=given), dataset, lines.append):
            pass
    assert [RANDOM in lines for lines in said] == [True, False]
    assert said[1][0].startswith(f"{LAST}: ")


def test_pretrained_weights_are_not_called_random(settings, dataset, monkeypatch):
    monkeypatch.setattr(
        "fastffdi.model.backbone._create_pretrained", lambda name, _: backbone.build(name, False)
    )
    said = []
    with prepared(replace(settings, pretrained=True), dataset, said.append):
        pass
    assert said == ["test_efficientnet on cpu, loader cpu, float32, as asked for"]


def test_the_seed_decides_the_first_weights(settings, dataset):
    models = []
    for seed in (0, 0, 1):
        with prepared(replace(settings, seed=seed), dataset) as experiment:
            models.append(experiment.trainer.model.state_dict()["conv_stem.weight"])
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_both_loaders_are_closed(settings, dataset, monkeypatch):
    closed = []
    with prepared(settings, dataset) as experiment:
        for loader in loaders_of(experiment):
            monkeypatch.setattr(loader, "close", lambda of=loader.close: (closed.append(1), of()))
    assert closed == [1, 1]


def refused(settings, dataset, error=SettingError):
    with pytest.raises(error) as caught:
        prepare(settings, dataset, lambda line: None)
    return str(caught.value)


def test_to_prepare_writes_nothing(settings, dataset):
    with prepared(settings, dataset):
        assert not settings.output.exists()


@pytest.mark.parametrize("name", [TABLE, BEST, LAST])
def test_a_folder_that_holds_a_run_is_refused(settings, dataset, name):
    settings.output.mkdir()
    (settings.output / name).write_text("precious")
    message = refused(settings, dataset)
    assert message == (
        f"--output {settings.output}: already holds a run; name another folder, or add --overwrite"
    )
    assert (settings.output / name).read_text() == "precious"


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
    old = next(settings.output.glob("events.*"))
    with prepared(replace(settings, overwrite=True), dataset) as failing:
        fit()
        list(failing.run(lambda images, means: None))
    assert [path.name for path in settings.output.glob("*.safetensors")] == []
    fit((0.1, 0.5))
    finished(replace(settings, overwrite=True), dataset)
    assert [row["val_auc"] for row in figures(settings.output)] == ["0.1"]
    assert kept(settings.output, BEST) == kept(settings.output, LAST) == (0, 0)
    assert not old.exists()
    assert (settings.output / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"device": "cuda"}, "--device cuda: "),
        (
            {"backend": "torchvision", "cache": Path("kept")},
            "--cache: goes with --loader cpu, not with",
        ),
        (
            {"backend": "dali", "loading": LoaderSettings(process=True)},
            "--loader-process: goes with",
        ),
        ({"amp": "fp16"}, "--amp fp16: needs a CUDA device"),
    ],
)
def test_what_does_not_fit_the_machine_is_refused(settings, dataset, monkeypatch, given, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refused(replace(settings, **given), dataset).startswith(message)


def test_a_file_in_the_folders_place_is_refused(settings, dataset):
    settings.output.write_text("a file")
    assert refused(settings, dataset) == f"--output {settings.output}: is a file; name a folder"


def test_a_folder_that_cannot_be_made_is_refused(settings, dataset):
    settings.output.write_text("a file")
    with pytest.raises(DataError, match="cannot be made"):
        finished(replace(settings, output=settings.output / "below"), dataset)


def test_images_too_small_for_a_crop_are_found_before_anything_is_written(settings, dataset, tmp_path):
    text = (
        "train: [random_crop: {size: [50, 50]}, normalize: {mean: imagenet, std: imagenet}]\n"
        "eval: [center_crop: {size: [50, 50]}, normalize: {mean: imagenet, std: imagenet}]\n"
    )
    (tmp_path / "crop.yaml").write_text(text)
    message = refused(replace(settings, pipeline=str(tmp_path / "crop.yaml")), dataset, DataError)
    assert not settings.output.exists()
    assert "random_crop: 50×50 does not fit an image of" in message


@pytest.mark.parametrize("sizes", [(32, 160), (160, 32)])
def test_a_size_the_backbone_refuses_is_refused_in_either_part(settings, dataset, tmp_path, sizes):
    step = "[resize: {{size: [{0}, {0}]}}, normalize: {{mean: imagenet, std: imagenet}}]"
    train, evaluation = (step.format(size) for size in sizes)
    (tmp_path / "small.yaml").write_text(f"train: {train}\neval: {evaluation}\n")
    settings = replace(settings, backbone="test_coatnet", pipeline=str(tmp_path / "small.yaml"))
    assert "'test_coatnet' refuses the recipe's images of 32x32" in refused(settings, dataset)


def test_a_step_the_loader_cannot_render_is_refused(settings, dataset, monkeypatch):
    monkeypatch.setattr("fastffdi.loaders.torchvision_transforms.TRANSFORMS", {})
    message = refused(replace(settings, backend="torchvision"), dataset, RecipeError)
    assert message == "--loader torchvision cannot express resize; take another loader"


@pytest.fixture
def spoilt(tiny, tmp_path):
    """The data set with one training image that is none, and that image's path."""
    folder = tmp_path / "spoilt"
    shutil.copytree(tiny, folder)
    victim = folder / "trainset" / "07.jpg"
    victim.write_bytes(b"no image")
    return find_dataset(folder), victim


def test_an_image_that_cannot_be_decoded_ends_the_run_by_its_name(settings, spoilt):
    broken, victim = spoilt
    with pytest.raises(UndecodableImage, match=f"^{victim}: cannot be decoded"):
        finished(settings, broken)


def test_it_is_found_at_once_where_sizes_are_read_anyway(settings, spoilt, tmp_path):
    steps = "[center_crop: {size: [32, 32]}, normalize: {mean: imagenet, std: imagenet}]"
    (tmp_path / "crop.yaml").write_text(f"train: {steps}\neval: {steps}\n")
    broken, victim = spoilt
    message = refused(replace(settings, pipeline=str(tmp_path / "crop.yaml")), broken, UndecodableImage)
    assert message.startswith(str(victim))


def test_the_demo_models_auc_is_at_least_nine_tenths(demo_run):
    assert demo_run.best.validation["auc"] >= 0.90


def with_recipe(settings, train="", evaluation="", more=""):
    """The settings with another recipe, which brings images to 32 × 32 first and normalises them last."""
    path = settings.output.parent / "mine.yaml"
    parts = {"train": train, "eval": evaluation}
    lists = [f"{part}: [{{resize: {{size: [32, 32]}}}}, {step} normalize]" for part, step in parts.items()]
    path.write_text("\n".join([*lists, more]))
    return replace(settings, pipeline=str(path), epochs=1)


def test_mixing_ends_before_the_epochs_that_the_recipe_names(settings, dataset):
    settings = with_recipe(settings, more="mix: {mixup: 1, off_epochs: 2}")
    with prepared(replace(settings, epochs=5), dataset) as experiment:
        assert experiment.train.mixer.until == 3


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
    monkeypatch.syspath_prepend(tmp_path)
    settings, said = with_recipe(settings, "{python: 'own_step:dark'},"), []
    with prepared(settings, dataset, said.append) as experiment:
        list(experiment.run(lambda images, means: None))
    calls = sys.modules["own_step"].calls
    assert len(calls) == len(experiment.train)
    warning = "runs code of yours, own_step:dark: what it does does not follow from the seed"
    assert said[0] == f"{settings.pipeline} {warning}"
    scored(settings.output / LAST, dataset)
    assert len(calls) == len(experiment.train)


def test_a_function_that_is_not_there_ends_the_run_before_it_begins(settings, dataset):
    settings = with_recipe(settings, "{python: 'no_such_module:dark'},")
    with pytest.raises(RecipeError, match=r"^python: no_such_module:dark: cannot be imported"):
        prepare(settings, dataset, lambda line: None)


def test_a_run_that_fails_in_its_first_epoch_leaves_a_folder_that_can_be_used_again(settings, dataset):
    settings = replace(settings, epochs=1)
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


def test_a_folder_below_folders_that_are_not_there_is_made(settings, dataset, fit):
    fit((0.5, 0.9))
    finished(replace(settings, output=settings.output / "a" / "b"), dataset)
    assert (settings.output / "a" / "b" / BEST).is_file()
