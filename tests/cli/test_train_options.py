"""Settings and images that follow from the options of `train`."""

import re
from pathlib import Path

import click
import numpy as np
import pytest
from commands import refused, relabelled

from fastffdi.cli.train import train as train_command
from fastffdi.errors import RunError
from fastffdi.loaders.settings import LoaderSettings, write_settings
from fastffdi.model import checkpoint
from fastffdi.training.optimisation import Optimisation

FILES = ("--train-labels", "--train-images", "--val-labels", "--val-images")
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
    "sync_bn": False,
    "train_labels": None,
    "train_images": None,
    "val_labels": None,
    "val_images": None,
    "limit": None,
    "patience": None,
    "time_limit": None,
    "holdout": None,
    "optimisation": Optimisation(),
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
    (("--tune", "norm"), {"optimisation": Optimisation(tune="norm")}),
    (("--freeze", 2), {"optimisation": Optimisation(freeze=2)}),
    (("--accumulate", 4), {"optimisation": Optimisation(accumulate=4)}),
    (("--label-smoothing", 0.1), {"optimisation": Optimisation(label_smoothing=0.1)}),
    (("--ema", 0.99), {"optimisation": Optimisation(ema=0.99)}),
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
    (("--sync-bn",), {"sync_bn": True}),
    (("--save-every", 500), {"save_every": "500"}),
    (("--time-limit", "2h"), {"time_limit": "2h"}),
]


@pytest.fixture
def given(monkeypatch):
    """The settings and the data that the command hands on to `prepare`, which then ends it."""
    seen = []

    def prepare(settings, dataset, say):
        seen.append((settings, dataset))
        raise RunError("enough")

    monkeypatch.setattr("fastffdi.training.preparation.prepare", prepare)
    return seen


@pytest.mark.parametrize(("words", "changed"), OPTIONS, ids=["".join(words[:1]) for words, _ in OPTIONS])
def test_every_option_reaches_the_settings(fastffdi, tiny, tmp_path, monkeypatch, given, words, changed):
    monkeypatch.chdir(tmp_path)
    write_settings(Path("own.yaml"), {"prefetch": 5}, [])
    assert fastffdi("train", "--data", tiny, "--output", "run", *words).err == "fastffdi: enough\n"
    ((settings, _),) = given
    assert settings.data == tiny
    assert {name: value for name, value in vars(settings).items() if name != "data"} == DEFAULTS | changed


def test_no_option_is_left_out():
    others = {"--data", "--limit", "--holdout", *FILES}
    others |= {"--config", "--dry-run", "--seeds", "--folds", "--group-by"}
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
    ((_, data),) = given
    assert list(data.train.paths()) == [f"{tiny}/trainset/03.jpg", f"{tiny}/trainset/00.jpg"]
    assert list(data.val.paths()) == [f"{tiny}/valset/05.jpg", f"{tiny}/valset/04.jpg"]
    assert (data.train.labels.tolist(), data.val.labels.tolist()) == ([1, 0], [1, 0])


@pytest.mark.parametrize("given", FILES)
def test_a_label_file_without_its_partners(train, tiny, output, given):
    missing = " and ".join(name for name in FILES if name != given)
    line = refused(train(given, tiny, data=None), output)
    assert line.startswith(f"{missing} missing: give either --data, or all of --train-labels, ")


def test_label_files_and_a_folder_together(train, tiny, output):
    line = refused(train("--train-labels", tiny / "trainset_label.txt"), output)
    assert line.startswith("--data: give either --data, or all of --train-labels")


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
