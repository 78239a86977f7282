import os
import re
import shlex
import shutil
import signal
import sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
import torch

from fastffdi.cli.train import train as train_command
from fastffdi.errors import RunError
from fastffdi.loaders.settings import LoaderSettings, write_settings
from fastffdi.model import checkpoint
from fastffdi.training.experiment import Experiment
from fastffdi.training.keeper import Keeper

PLAIN = ("--backbone", "test_efficientnet", "--no-pretrained", "--amp", "off", "--threads", 1)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def train(fastffdi, tiny, output):
    """train(...): one epoch on the tiny images, unless the words say otherwise."""

    def run(*words, data=tiny, pipeline=tiny / "recipe.yaml"):
        data = () if data is None else ("--data", data)
        options = ("--pipeline", pipeline, "--epochs", 1, "--batch-size", 8, "--output", output)
        return fastffdi("train", *PLAIN, *options, *data, *words)

    return run


def test_a_run_says_what_it_did(train, tiny, output):
    code, out, err = train()
    assert code == 0
    auc = checkpoint.read(output / "best.safetensors").metrics["auc"]
    assert out.splitlines() == [
        f"best: epoch 1, validation AUC {auc:.4f}",
        f"checkpoint: {output}/best.safetensors",
    ]
    data, weights, model, epoch, then = err.splitlines()
    assert data == (
        f"data: {tiny}: training 40 images (20 real, 20 fake), validation 16 images (8 real, 8 fake)"
    )
    assert weights == "test_efficientnet starts from random weights"
    assert model == "test_efficientnet on cpu, loader cpu, float32, as asked for"
    assert re.fullmatch(
        r"epoch 1/1  train loss \d\.\d{4}  val loss \d\.\d{4}  accuracy [01]\.\d{4}  AUC [01]\.\d{4}  "
        r"\d+ img/s  waiting for data \d+%",
        epoch,
    )
    assert then == f"next: fastffdi predict {output}/best.safetensors FOLDER -o submit.csv"


def test_every_epoch_has_its_line(train):
    _, _, err = train("--epochs", 2, "--limit", 8)
    assert re.findall(r"^epoch (\d/\d)", err, re.MULTILINE) == ["1/2", "2/2"]


class Bar:
    """What the bar is told: a total and a title, images done with a note, and titles again."""

    def __init__(self):
        self.told = []

    @contextmanager
    def __call__(self, total, title, on, done):
        self.told.append((total, title, done))
        yield self

    def advance(self, images, note):
        self.told.append((images, note))

    def restart(self, title):
        self.told.append(title)


def test_the_bar_shows_epochs_and_images(train, monkeypatch):
    bar = Bar()
    monkeypatch.setattr("fastffdi.cli.screen.bar", bar)
    train("--epochs", 2, "--limit", 12)
    epoch = [(8, None), (4, None)]  # of training, and of validation
    assert bar.told == [(24, "epoch 1/2", 0), *epoch, *epoch, "epoch 2/2", *epoch, *epoch]


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_is_closed_whatever_happens(train, monkeypatch, fails):
    closed, close = [], Experiment.close
    monkeypatch.setattr(Experiment, "close", lambda self: (closed.append(1), close(self))[1])
    assert train("--limit", 8, "--lr", 1e30 if fails else 1e-3).code == int(fails)
    assert closed == [1]


@pytest.fixture
def given(monkeypatch):
    """The settings and the data that the command hands on to `prepare`, which then ends it."""
    seen = []

    def prepare(settings, dataset, say):
        seen.append((settings, dataset))
        raise RunError("enough")

    monkeypatch.setattr("fastffdi.training.experiment.prepare", prepare)
    return seen


DEFAULTS = {
    "backbone": "efficientnet_b0",
    "pipeline": "standard",
    "epochs": 5,
    "learning_rate": 1e-3,
    "output": Path("run"),
    "loading": LoaderSettings(),
    "backend": "auto",
    "device": "auto",
    "amp": "auto",
    "pretrained": True,
    "weights": None,
    "overwrite": False,
    "balance": False,
    "seed": 0,
    "cache": None,
    "compile": False,
    "on_corrupt": "skip",
    "max_corrupt": 0.01,
    "save_every": "10m",
    "resume": None,
    "follow_symlinks": False,
    "imagenet1k_only": False,
}
OPTIONS = [
    ((), {}),
    (("--backbone", "test_vit"), {"backbone": "test_vit"}),
    (("--weights", "w.pth"), {"weights": Path("w.pth")}),
    (("--pretrained",), {"pretrained": True}),
    (("--no-pretrained",), {"pretrained": False}),
    (("--imagenet1k-only",), {"imagenet1k_only": True}),
    (("--pipeline", "jitter"), {"pipeline": "jitter"}),
    (("--epochs", 3), {"epochs": 3}),
    (("--lr", 0.5), {"learning_rate": 0.5}),
    (("--balance",), {"balance": True}),
    (("--loader", "dali"), {"backend": "dali"}),
    (("--batch-size", 5), {"loading": LoaderSettings(batch_size=5)}),
    (("--threads", 17), {"loading": LoaderSettings(17)}),
    (("--loader-process",), {"loading": LoaderSettings(process=True)}),
    (("--no-loader-process",), {"loading": LoaderSettings(process=False)}),
    (("--cache", "kept"), {"cache": Path("kept")}),
    (("--loader-settings", "own.yaml"), {"loading": LoaderSettings(prefetch=5)}),
    (("--memory-cap", 1.5), {"loading": LoaderSettings(memory_cap=1.5)}),
    (("--max-megapixels", 9.5), {"loading": LoaderSettings(max_megapixels=9.5)}),
    (("--device", "cuda:1"), {"device": "cuda:1"}),
    (("--amp", "fp16"), {"amp": "fp16"}),
    (("--compile",), {"compile": True}),
    (("--on-corrupt", "fail"), {"on_corrupt": "fail"}),
    (("--max-corrupt", 0.5), {"max_corrupt": 0.5}),
    (("--follow-symlinks",), {"follow_symlinks": True}),
    (("--seed", 5), {"seed": 5}),
    (("--output", "there"), {"output": Path("there")}),
    (("--overwrite",), {"overwrite": True}),
    (("--resume",), {"resume": "must"}),
    (("--resume", "auto"), {"resume": "auto"}),
    (("--save-every", 500), {"save_every": "500"}),
]


@pytest.mark.parametrize(("words", "changed"), OPTIONS, ids=["".join(words[:1]) for words, _ in OPTIONS])
def test_every_option_reaches_the_settings(fastffdi, tiny, tmp_path, monkeypatch, given, words, changed):
    monkeypatch.chdir(tmp_path)
    write_settings(Path("own.yaml"), {"prefetch": 5}, [])
    assert fastffdi("train", "--data", tiny, "--output", "run", *words).err == "fastffdi: enough\n"
    ((settings, dataset),) = given
    assert settings.data is dataset
    assert {name: value for name, value in vars(settings).items() if name != "data"} == DEFAULTS | changed


def test_no_option_is_left_out():
    others = {"--data", "--limit", *FILES}  # which images
    options = (option for option in train_command.params if isinstance(option, click.Option))
    names = {name for option in options for name in (option.opts[-1], *option.secondary_opts)}
    assert names - others == {words[0] for words, _ in OPTIONS if words}


def test_a_folder_is_the_data(train, tiny, given):
    train()
    ((_, data),) = given
    assert list(data.train.paths()) == [f"{tiny}/trainset/{k:02d}.jpg" for k in range(40)]
    assert list(data.val.paths()) == [f"{tiny}/valset/{k:02d}.jpg" for k in range(16)]


def test_label_files_take_the_place_of_a_folder(train, tiny, given, copy):
    relabelled(copy, "03.jpg,1", "00.jpg,0")
    relabelled(copy, "05.jpg,1", "04.jpg,0", split="val")
    files = ("--train-labels", copy / "trainset_label.txt", "--train-images", tiny / "trainset")
    more = ("--val-labels", copy / "valset_label.txt", "--val-images", tiny / "valset")
    train(*files, *more, data=None)
    ((settings, data),) = given
    assert list(data.train.paths()) == [f"{tiny}/trainset/03.jpg", f"{tiny}/trainset/00.jpg"]
    assert list(data.val.paths()) == [f"{tiny}/valset/05.jpg", f"{tiny}/valset/04.jpg"]
    assert (data.train.labels.tolist(), data.val.labels.tolist()) == ([1, 0], [1, 0])
    assert settings.data is data


def test_limit_takes_a_share_of_each_class_by_the_seed(train, given):
    for seed in (0, 0, 1):
        train("--limit", 8, "--seed", seed)
    chosen = [data.train.names.tolist() for _, data in given]
    assert chosen[0] == chosen[1] != chosen[2]
    for _, data in given:
        assert [np.bincount(part.labels).tolist() for part in (data.train, data.val)] == [[4, 4], [4, 4]]


def test_limit_is_said(train):
    _, _, err = train("--limit", 8)
    assert err.splitlines()[0].endswith("(8 real, 8 fake); limited to 8 and 8 images")


@pytest.mark.parametrize("loader", ["dali", "torchvision"])
def test_every_loader_trains(train, loader):
    code, _, err = train("--loader", loader, "--limit", 8)
    assert code == 0
    assert f"loader {loader}" in err


def test_a_file_of_weights_is_started_from(train, tiny_run, output):
    weights = tiny_run.settings.output / "best.safetensors"
    code, _, err = train("--weights", weights, "--limit", 8)
    assert code == 0
    assert re.search(r"^best\.safetensors: \d+ tensors matched by name; head kept$", err, re.MULTILINE)
    assert "random weights" not in err


def test_brackets_and_colons_in_a_name_are_shown_as_they_are(fastffdi, tiny, tmp_path):
    data = shutil.copytree(tiny, tmp_path / "[red]:smile:")
    options = (
        "--pipeline",
        tiny / "recipe.yaml",
        "--epochs",
        1,
        "--limit",
        8,
        "--output",
        tmp_path / "[b]run",
    )
    _, out, err = fastffdi("train", *PLAIN, "--data", data, *options, "--output", tmp_path / "[b]run")
    assert f"data: {data}: training" in err
    assert f"checkpoint: {tmp_path}/[b]run/best.safetensors" in out
    assert f"next: fastffdi predict '{tmp_path}/[b]run/best.safetensors' FOLDER -o submit.csv\n" in err


@pytest.fixture
def builtin(tiny, monkeypatch, tmp_path):
    """The tiny images in place of the demo set; the current folder is empty."""
    monkeypatch.setattr("fastffdi.demo.dataset.demo_folder", lambda progress: tiny)
    monkeypatch.chdir(tmp_path)
    return tiny


def test_without_data_it_takes_the_demo_images_and_says_so(fastffdi, builtin, tmp_path):
    code, out, err = fastffdi("train", "--backbone", "test_efficientnet", "--epochs", 1, "--limit", 8)
    assert code == 0
    assert err.startswith(f"no data given: using the built-in demo images in {builtin}\n")
    assert "\ntest_efficientnet starts from random weights\n" in err
    (run,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"test_efficientnet-\d{8}-\d{6}", run.name)
    assert f"checkpoint: runs/{run.name}/best.safetensors" in out
    assert checkpoint.read(run / "best.safetensors").size == (128, 128)


def test_the_demo_images_have_a_recipe_of_their_own_and_random_weights(fastffdi, builtin, given):
    fastffdi("train")
    settings, data = given[0]
    assert (settings.pipeline, settings.pretrained) == ("demo", False)
    assert data.train.root == f"{builtin}/trainset"


def refused(ended, output, code=2):
    """The one line of an error that left nothing behind."""
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert ended.err.startswith("fastffdi: ")
    assert ended.err.count("\n") == 1, ended.err
    assert not output.exists()
    return ended.err.removeprefix("fastffdi: ").rstrip("\n")


@pytest.fixture
def copy(tiny, tmp_path):
    """The tiny images, to spoil."""
    return shutil.copytree(tiny, tmp_path / "copy")


def relabelled(folder, *rows, split="train", header="img_name,target"):
    file = folder / f"{split}set_label.txt"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def test_a_missing_folder(train, tmp_path, output):
    line = refused(train(data=tmp_path / "absent"), output)
    assert line == f"{tmp_path}/absent: no such folder; give the folder that holds the images"


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_missing_label_file(train, copy, output, split):
    (copy / f"{split}set_label.txt").unlink()
    line = refused(train(data=copy), output)
    assert line.startswith(f"{copy}: no {split}set_label.txt or {split}_label.txt; the folder holds")
    assert line.endswith("; add the file")


def test_a_missing_label_file_by_option(train, copy, output):
    files = ("--train-labels", copy / "absent.txt", "--train-images", copy / "trainset")
    more = ("--val-labels", copy / "valset_label.txt", "--val-images", copy / "valset")
    line = refused(train(*files, *more, data=None), output)
    assert line == f"{copy}/absent.txt: no such label file; give a CSV file with the header img_name,target"


def test_a_missing_image_folder(train, copy, output):
    shutil.rmtree(copy / "valset")
    assert f"{copy}/valset: no such image folder; give" in refused(train(data=copy), output)


@pytest.mark.parametrize(
    ("header", "missing"),
    [("img_name,label", "target"), ("name,target", "img_name"), ("a,b", "img_name and target")],
)
def test_missing_columns(train, copy, output, header, missing):
    file = relabelled(copy, "00.jpg,0", header=header)
    line = refused(train(data=copy), output)
    assert line.startswith(f"{file}: no column {missing}; its first line has ")
    assert line.endswith("write img_name,target")


@pytest.mark.parametrize("label", ["2", "-1", "fake", ""])
def test_labels_other_than_0_and_1(train, copy, output, label):
    file = relabelled(copy, "00.jpg,0", f"01.jpg,{label}")
    line = refused(train(data=copy), output)
    assert line == f"{file}: line 3: target {label!r} is not 0 (real) or 1 (fake)"


def test_duplicate_names_in_training(train, copy, output):
    file = relabelled(copy, "00.jpg,0", "01.jpg,1", "00.jpg,0")
    line = refused(train(data=copy), output)
    assert line == f"{file}: 1 names stand on more than one line (00.jpg); keep one line for each"


def test_listed_images_that_do_not_exist(train, copy, output):
    file = relabelled(copy, *(f"{name}.jpg,0" for name in ("00", "d", "b", "c", "a", "01")))
    line = refused(train(data=copy), output)
    assert line == (
        f"{file}: 4 of 6 images are not in {copy}/trainset (d.jpg, b.jpg, c.jpg, …); "
        "add them or delete their lines"
    )


@pytest.mark.parametrize("name", ["../valset/00.jpg", "a/../../valset/00.jpg", "/etc/hostname"])
def test_names_that_leave_the_image_folder(train, copy, output, name):
    file = relabelled(copy, "00.jpg,0", f"{name},1")
    line = refused(train(data=copy), output)
    assert line == (
        f"{file}: line 3: {name!r} is not inside {copy}/trainset; "
        "write names relative to that folder, without '..'"
    )


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_split(train, copy, output, split):
    file = relabelled(copy, split=split)
    line = refused(train(data=copy), output)
    assert line == f"{file}: lists no images; add one line NAME,TARGET for each"


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_split_of_class_folders(train, tmp_path, output, split):
    for name in ("train/real", "train/fake", "val/real", "val/fake"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / ("a.txt" if name.startswith(split) else "a.jpg")).touch()
    line = refused(train(data=tmp_path / "data"), output)
    places = rf"({split}/real and {split}/fake|{split}/fake and {split}/real)"
    assert re.fullmatch(rf"{tmp_path}/data: no images \(JPEG, [A-Za-z, ]+\) in {places}; add some", line)


def test_validation_of_one_class_is_allowed(train, copy, output):
    relabelled(copy, "00.jpg,0", "02.jpg,0", split="val")
    code, out, err = train(data=copy)
    assert code == 0
    assert "  AUC undefined  " in err
    assert out.startswith("best: epoch 1, validation AUC undefined\n")


def recipe_of(folder, step, evaluation=None):
    end = "resize: {size: [32, 32]}, normalize: {mean: imagenet, std: imagenet}"
    (folder / "mine.yaml").write_text(f"train: [{step}, {end}]\neval: [{evaluation or step}, {end}]\n")
    return folder / "mine.yaml"


def test_an_unknown_step(train, tmp_path, output):
    recipe = recipe_of(tmp_path, "horizontal_flop", "vertical_flip")
    line = refused(train(pipeline=recipe), output)
    assert line == f"{recipe}: train[0]: unknown step 'horizontal_flop', did you mean 'horizontal_flip'?"


def test_mistakes_of_a_recipe_are_reported_together(train, tmp_path, output):
    recipe = recipe_of(tmp_path, "horizontal_flop")
    recipe.write_text(recipe.read_text() + "mix: {mixup: -1}\n")
    code, out, err = train(pipeline=recipe)
    assert (code, out, output.exists()) == (2, "", False)
    hint = "unknown step 'horizontal_flop', did you mean 'horizontal_flip'?"
    assert err.splitlines() == [
        f"fastffdi: {recipe}: train[0]: {hint}",
        f"{recipe}: eval[0]: {hint}",
        f"{recipe}: mix: mixup: -1 is negative; 0 turns it off",
    ]


def test_an_unknown_parameter(train, tmp_path, output):
    recipe = recipe_of(tmp_path, "horizontal_flip: {prob: 0.5}", "vertical_flip")
    line = refused(train(pipeline=recipe), output)
    assert line.startswith(f"{recipe}: train[0]: horizontal_flip: unknown parameter 'prob'")


def test_an_unknown_recipe(train, output):
    line = refused(train(pipeline="standart"), output)
    assert line.startswith("--pipeline standart: ")
    assert line.endswith(", did you mean 'standard'?")


def test_an_unknown_backbone(train, output):
    line = refused(train("--backbone", "efficentnet_b0"), output)
    assert line.startswith("unknown backbone 'efficentnet_b0', did you mean 'efficientnet_b0' or ")


def test_cuda_that_is_absent(train, output, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = refused(train("--device", "cuda"), output)
    assert line.startswith(f"--device cuda: torch {torch.__version__} sees no CUDA devices here; take")


@pytest.mark.parametrize("option", ["--loader", "--amp", "--device"])
def test_a_word_that_is_no_choice(train, output, option):
    line = refused(train(option, "nonsense"), output)
    assert line.startswith(f"{option} nonsense: ")


def test_dali_that_is_absent(train, output, monkeypatch):
    monkeypatch.setattr("fastffdi.loaders.factory.dali_problem", lambda: "DALI is not installed")
    line = refused(train("--loader", "dali"), output)
    assert line.startswith("--loader dali: DALI is not installed; pip install nvidia-dali-cuda1")


FILES = ("--train-labels", "--train-images", "--val-labels", "--val-images")


@pytest.mark.parametrize("given", FILES)
def test_a_label_file_without_its_partners(train, tiny, output, given):
    missing = " and ".join(name for name in FILES if name != given)
    line = refused(train(given, tiny, data=None), output)
    assert line.startswith(f"{missing} missing: give either --data, or all of --train-labels, ")


def test_label_files_and_a_folder_together(train, tiny, output):
    line = refused(train("--train-labels", tiny / "trainset_label.txt"), output)
    assert line.startswith("--data: give either --data, or all of --train-labels")


@pytest.fixture
def old(output):
    """A run that the output folder holds: its table."""
    output.mkdir()
    (output / "metrics.csv").write_text("old\n" * 9)
    return output / "metrics.csv"


def test_an_output_folder_that_holds_a_run(train, output, old):
    code, out, err = train()
    assert (code, out) == (2, "")
    assert err == (
        f"fastffdi: --output {output}: already holds a run; name another folder, or add --overwrite\n"
    )
    assert [path.read_text() for path in output.iterdir()] == ["old\n" * 9]


def test_overwrite_replaces_the_run(train, output, old):
    assert train("--overwrite", "--seed", 3, "--limit", 8).code == 0
    assert checkpoint.read(output / "best.safetensors").seed == 3
    assert len(old.read_text().splitlines()) == 2


def test_weights_that_are_not_there(train, tmp_path, output):
    assert f"{tmp_path}/absent.pth: " in refused(train("--weights", tmp_path / "absent.pth"), output)


def test_an_image_too_small_for_the_recipe(train, tiny, tmp_path, output):
    recipe = recipe_of(tmp_path, "random_crop: {size: [50, 50]}")
    assert "random_crop: 50×50 does not fit an image of" in refused(train(pipeline=recipe), output)


def test_an_image_that_cannot_be_decoded_is_skipped_and_named(train, copy):
    (copy / "trainset" / "07.jpg").write_bytes(b"no image")
    code, _, err = train("--epochs", 1, data=copy)
    assert code == 0
    assert "  corrupt images skipped: 1" in err
    table = next(line.split("listed in ")[1] for line in err.splitlines() if "listed in " in line)
    assert Path(table).read_text() == (
        'img_name,reason,loader,epoch\n07.jpg,"not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image",cpu,1\n'
    )


def test_an_image_that_cannot_be_decoded_ends_with_1_and_its_name_if_asked_for(train, copy):
    (copy / "trainset" / "07.jpg").write_bytes(b"no image")
    code, _, err = train("--on-corrupt", "fail", data=copy)
    assert code == 1
    assert err.splitlines()[-1] == (
        f"fastffdi: {copy}/trainset/07.jpg: cannot be decoded "
        "(not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image); "
        "replace the file or take it off the list"
    )


def test_a_run_that_diverges_ends_with_1_and_what_to_do(train):
    code, _, err = train("--lr", 1e30)
    assert code == 1
    assert re.fullmatch(r"fastffdi: epoch 1: .* lower --lr( or set --amp off)?", err.splitlines()[-1])


def test_the_two_gravest_findings_about_the_data_are_said_first(train, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTFFDI_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    shutil.copytree(tiny, data)
    for name in ("00.jpg", "01.jpg"):
        (data / "trainset" / name).write_bytes(b"")
    (data / "valset/03.jpg").write_bytes((data / "valset/03.jpg").read_bytes()[:-300])
    (data / "trainset/05.jpg").write_text("no image")
    _, _, err = train("--max-corrupt", 1, data=data)
    lines = err.splitlines()
    assert lines[1:3] == [
        "error: 1 validation image is truncated; copy them again, or delete their lines",
        "error: 2 training images are empty, of zero bytes; copy them again, or delete their lines",
    ]
    assert "not an image" not in "\n".join(lines[:5])


def test_one_class_and_files_of_both_splits_are_said_before_the_first_step(train, tiny, tmp_path):
    labels = tmp_path / "fakes.txt"
    labels.write_text("img_name,target\n" + "".join(f"{k:02d}.jpg,1\n" for k in range(1, 40, 2)))
    places = ("--train-labels", labels, "--train-images", tiny / "trainset")
    _, _, err = train(*places, "--val-labels", labels, "--val-images", tiny / "trainset", data=None)
    assert [line.partition(";")[0] for line in err.splitlines() if line.startswith("warning: ")][:3] == [
        "warning: no training image is real, so that nothing can be learnt",
        "warning: no validation image is real, so that the AUC is undefined",
        "warning: 20 of 20 validation images are training images too",
    ]


# Stopped, and gone on with.


@pytest.fixture
def signalled(monkeypatch):
    """signalled(number, batches): let the process get a signal after so many batches."""

    def at(number, batches):
        told, seen = Keeper.watching, iter(range(1, 10**6))

        def watching(self, progress):
            def counting(images, means):
                if next(seen) == batches:
                    os.kill(os.getpid(), number)
                progress(images, means)

            return told(self, counting)

        monkeypatch.setattr(Keeper, "watching", watching)

    return at


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_one_line_that_has_the_command_to_go_on(train, signalled, output, number, code):
    signalled(number, 3)
    ended = train("--epochs", 2, "--overwrite")
    assert (ended.code, ended.out) == (code, "")
    *_, model, last = ended.err.splitlines()
    assert model.startswith("test_efficientnet on cpu")
    where = f"stopped in epoch 1 of 2, after 24 of 40 training images; all of it is kept in {output}"
    assert last.startswith(f"fastffdi: {where}; go on with: fastffdi train --backbone test_efficientnet ")
    command = shlex.split(last.partition("; go on with: ")[2])
    assert command[-1] == "--resume"
    assert sys.argv[1:] == [*command[1:-1], "--overwrite"]


def test_the_command_to_go_on_does(train, fastffdi, signalled, output):
    signalled(signal.SIGINT, 3)
    command = shlex.split(train().err.partition("; go on with: ")[2])
    code, out, err = fastffdi(*command[1:])
    assert code == 0
    assert f"\n{output}: going on at epoch 1 after 24 of 40 training images, of 1 epochs\nepoch 1/1  " in err
    assert out.startswith("best: epoch 1, ")
    repeated = fastffdi(*command[1:], "auto")
    assert (repeated.code, repeated.out) == (0, out)
    assert f"{output}: this run is finished, after 1 epochs; nothing is left to do\nnext: " in repeated.err


def test_the_command_names_the_folder_that_it_chose_and_quotes_what_needs_it(
    fastffdi, tiny, tmp_path, signalled, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    data = shutil.copytree(tiny, tmp_path / "my data")
    signalled(signal.SIGINT, 1)
    clock = SimpleNamespace(now=lambda: datetime(2030, 1, 2))
    monkeypatch.setattr("fastffdi.training.settings.datetime", clock)
    error = fastffdi("train", *PLAIN, "--pipeline", tiny / "recipe.yaml", "--data", data).err.splitlines()[-1]
    assert error.endswith(f" --data '{data}' --output runs/test_efficientnet-20300102-000000 --resume")


def test_where_nothing_is_kept_the_command_begins_again(train, signalled, output):
    signalled(signal.SIGINT, 1)
    last = train("--loader", "torchvision").err.splitlines()[-1]
    assert last.startswith(
        "fastffdi: stopped in epoch 1 of 1; nothing of it is kept; begin again with: fastffdi"
    )
    assert last.endswith("--loader torchvision")


def test_an_interrupted_run_in_the_folder_is_named_with_the_cure(train, signalled, output):
    signalled(signal.SIGINT, 3)
    train()
    code, _, err = train()
    assert code == 2
    assert err == (
        f"fastffdi: --output {output}: holds a run that was interrupted; go on with it by --resume, name "
        "another folder, or add --overwrite\n"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--resume",),
            "--resume: {} holds no state to go on from; name the folder of a run with --output, or",
        ),
        (("--resume", "atuo"), "--resume atuo: unknown, did you mean 'auto'?"),
        (
            ("--resume", "--overwrite"),
            "--resume: goes on with a run, which --overwrite deletes; leave out one",
        ),
        (
            ("--save-every", "ten"),
            "--save-every ten: give a time such as 10m, or a number of updates such as",
        ),
    ],
)
def test_wrong_use_of_resume_is_refused(train, output, words, line):
    assert refused(train(*words), output).startswith(line.format(output))


def test_resume_needs_the_folder(fastffdi, tiny):
    ended = fastffdi("train", *PLAIN, "--data", tiny, "--resume", "auto")
    assert (ended.code, ended.err) == (2, "fastffdi: --resume: name the folder of the run with --output\n")
