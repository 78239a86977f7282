"""Fixtures that many tests share: painted images, folders of them, and the images for measuring."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import pytest
from PIL import Image

from fastffdi.data.manifest import Manifest

if TYPE_CHECKING:
    from brightness import Brightness
    from together import Together

    from fastffdi.training.experiment import Experiment

Paint = Callable[[int, int, int], np.ndarray]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTFFDI_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _attentive() -> Iterator[None]:
    """Ctrl-C as in a terminal: a shell's background jobs ignore it, and so would what they start."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def paint() -> Paint:
    """paint(height, width, seed): a smooth (H, W, 3) uint8 image with all pixel values in it."""
    return _painted


@pytest.fixture(scope="session")
def image_files(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """23 JPEGs of different sizes, 60 to 130 pixels a side, real and fake in turn, sizes known."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(7)
    sizes = rng.integers(60, 131, (23, 2)).astype(np.int32)
    names = np.array([f"{k:02d}.jpg" for k in range(len(sizes))], object)
    for k, (height, width) in enumerate(sizes.tolist()):
        Image.fromarray(_painted(height, width, k)).save(folder / names[k], quality=92)
    return Manifest(str(folder), names, np.arange(len(sizes)) % 2, sizes)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of images for measuring, where `FASTFFDI_TEST_DATA` names one."""
    named = os.environ.get("FASTFFDI_TEST_DATA")
    if not named:
        pytest.skip("FASTFFDI_TEST_DATA does not name the folder of images for measuring")
    return Path(named)


@pytest.fixture
def without_dali(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where DALI is not installed, also after it has been imported."""
    monkeypatch.delitem(sys.modules, "fastffdi.loaders.dali", raising=False)
    monkeypatch.setitem(sys.modules, "nvidia.dali", None)


def _painted(height: int, width: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(-60, 316, (6, 6, 3))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return smooth.clip(0, 255).astype(np.uint8)


# Runs: small ones to look at from all sides, the demo model, and the command line in this process.

TINY = """\
train:
  - resize: {size: [32, 32]}
  - horizontal_flip
  - normalize: {mean: [0.4, 0.5, 0.6], std: imagenet}
eval:
  - resize: {size: [32, 32]}
  - normalize: {mean: [0.4, 0.5, 0.6], std: imagenet}
"""


class Ended(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the challenge's layout: 40 dark and bright images, 16 to validate; and recipe.yaml."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "recipe.yaml").write_text(TINY)
    rng = np.random.default_rng(11)
    for split, count in (("train", 40), ("val", 16)):
        (folder / f"{split}set").mkdir()
        rows = ["img_name,target"]
        for k in range(count):
            height, width = rng.integers(40, 61, 2).tolist()
            values = rng.integers(0, 120, (height, width, 3)) + 120 * (k % 2)
            Image.fromarray(values.astype(np.uint8)).save(folder / f"{split}set" / f"{k:02d}.jpg")
            rows.append(f"{k:02d}.jpg,{k % 2}")
        (folder / f"{split}set_label.txt").write_text("\n".join(rows) + "\n")
    return folder


@contextmanager
def one_torch_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch with one thread: on images this small, more only wait for each other."""
    with one_torch_thread():
        yield


@pytest.fixture
def fastffdi(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one_thread: None
) -> Callable[..., Ended]:
    """fastffdi("train", "--seed", 1): the command line, run in this process."""
    from fastffdi.cli.main import main

    def run(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["fastffdi", *map(str, words)])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        assert isinstance(code, int)
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def tiny_run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> "Experiment":
    """A finished run on them of one epoch, so short that the model is sure of nothing."""
    from fastffdi.data.layout import find_dataset
    from fastffdi.loaders.settings import LoaderSettings
    from fastffdi.training.preparation import prepare
    from fastffdi.training.settings import Settings

    output = tmp_path_factory.mktemp("runs") / "tiny"
    recipe = str(tiny / "recipe.yaml")
    loading = LoaderSettings(batch_size=8)
    settings = Settings("test_efficientnet", recipe, 1, 1e-4, output, loading, amp="off", pretrained=False)
    with one_torch_thread(), closing(prepare(settings, find_dataset(tiny), print)) as experiment:
        list(experiment.run(lambda images, means: None))
    return experiment


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> "Experiment":
    """A finished run on the demo images; its folder is `demo_run.settings.output`."""
    from fastffdi.data.layout import find_dataset
    from fastffdi.demo.dataset import demo_folder
    from fastffdi.loaders.settings import LoaderSettings
    from fastffdi.training.log import line
    from fastffdi.training.preparation import prepare
    from fastffdi.training.settings import Settings

    output = tmp_path_factory.mktemp("runs") / "demo"
    loading = LoaderSettings(batch_size=32)
    settings = Settings("test_resnet", "demo", 3, 0.002, output, loading, amp="off", pretrained=False)
    # With one thread: a second one gains little here, and where cores are shared it makes both slow.
    with one_torch_thread(), closing(prepare(settings, find_dataset(demo_folder()), print)) as experiment:
        for result in experiment.run(lambda images, means: None):
            print(line(result, settings.epochs))
    return experiment


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Together"]:
    """together(3, "train", settings, dataset): a function of together.py, in so many processes at once."""
    from together import together

    with together(tmp_path_factory.mktemp("together")) as started:
        yield started


# Scores that can be worked out from the images.

#: Pixel values in the middle of images, which is nearly their mean; in the order of the files' names.
LEVELS = (200, 15, 120, 240, 60, 160)


@pytest.fixture(scope="session")
def lit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a JPEG for each of LEVELS, bright and dark: 0.jpg, 1.jpg, …"""
    folder = tmp_path_factory.mktemp("lit")
    for k, level in enumerate(LEVELS):
        ramp = np.linspace(level - 12, level + 12, 48 + k).astype(np.uint8)
        Image.fromarray(np.tile(ramp[:, None], (40, 1, 3))).save(folder / f"{k}.jpg", quality=95)
    return folder


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> "Brightness":
    """The model that every checkpoint now holds: P(fake) is the image's mean pixel value over 255."""
    from types import SimpleNamespace

    from brightness import Brightness

    resize, same = {"resize": {"size": [32, 32]}}, {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}}
    described = SimpleNamespace(recipe={"train": [resize, same], "eval": [resize, same]}, decision=None)
    model = Brightness()
    monkeypatch.setattr("fastffdi.inference.member.restore", lambda path: (described, model))
    monkeypatch.setattr("fastffdi.inference.predict.file_digest", lambda path: "brightness")
    return model
