"""The public names; a loop of one's own, Lightning and `fastffdi train` are shown the same images."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from conftest import TINY
from pytorch_lightning import LightningModule, Trainer
from torch import nn

import fastffdi
from fastffdi.training.experiment import prepare

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = [
    "FastffdiError",
    "Loader",
    "LoaderSettings",
    "Optimisation",
    "Predictor",
    "Settings",
    "find_dataset",
    "load_recipe",
    "train",
]


def test_the_names_are_these() -> None:
    assert fastffdi.__all__ == NAMES
    assert set(NAMES) <= set(dir(fastffdi))
    assert all(getattr(fastffdi, name).__name__ == name for name in NAMES)


def test_names_and_documentation_go_together() -> None:
    documented = {
        line.split()[0] for line in (fastffdi.__doc__ or "").splitlines() if line[:5].strip(" ") != ""
    }
    assert {*NAMES} - {"LoaderSettings", "Optimisation"} <= documented


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(
        AttributeError, match=r"^module 'fastffdi' has no attribute 'Louder'; it has FastffdiErr"
    ):
        _ = fastffdi.Louder  # type: ignore[attr-defined]


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert fastffdi.__version__ == version("fastffdi")


def test_to_import_it_imports_nothing_else() -> None:
    heavy = {"torch", "timm", "numpy", "nvidia", "pandas"}
    look = f"import sys, fastffdi; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


# The same images.


class Classifier(nn.Module):
    """Learns from the mean colour, and keeps the images that it was shown in training."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
        self.shown: list[str] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.shown.append(hashlib.sha256(images.numpy().tobytes()).hexdigest())
        out: torch.Tensor = self.layers(images)
        return out


class Lightning(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = Classifier()

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        images, labels = batch
        return F.cross_entropy(self.model(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.5)


@pytest.fixture(scope="module", params=["plain", "mixed"])
def recipe_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny recipe with random crops, mixed or not."""
    text = TINY.replace("resize: {size: [32, 32]}", "random_resized_crop: {size: [32, 32]}", 1)
    file = tmp_path_factory.mktemp("recipes") / f"{request.param}.yaml"
    file.write_text(text + ("mix: {mixup: 0.4, cutmix: 1.0}\n" if request.param == "mixed" else ""))
    return file


@pytest.fixture
def loader_of(tiny: Path, recipe_file: Path) -> Callable[[], fastffdi.Loader]:
    def build() -> fastffdi.Loader:
        data, recipe = fastffdi.find_dataset(tiny), fastffdi.load_recipe(str(recipe_file))
        how = {"batch_size": 8, "device": "cpu", "shuffle": True, "seed": 3, "mix": recipe.mix}
        return fastffdi.Loader(data.train, recipe.train, **how)

    return build


def by_a_plain_loop(loader: fastffdi.Loader, model: Classifier) -> None:
    optimiser = torch.optim.SGD(model.parameters(), 0.5)
    for _ in range(2):
        for images, labels in loader:
            optimiser.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimiser.step()


def by_lightning(loader: fastffdi.Loader, folder: Path) -> Classifier:
    module = Lightning()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", default_root_dir=folder, enable_checkpointing=False, **quiet
    )
    trainer.fit(module, loader)
    return module.model


def by_accelerate(loader: fastffdi.Loader, model: Classifier) -> None:
    accelerator = Accelerator(cpu=True)
    optimiser = torch.optim.SGD(model.parameters(), 0.5)
    model, optimiser, loader = accelerator.prepare(model, optimiser, loader)
    for _ in range(2):
        for images, labels in loader:
            optimiser.zero_grad()
            accelerator.backward(F.cross_entropy(model(images), labels))
            optimiser.step()


def by_the_command(tiny: Path, recipe: Path, folder: Path) -> list[str]:
    loading = fastffdi.LoaderSettings(threads=1, batch_size=8)
    how = {"device": "cpu", "amp": "off", "pretrained": False, "seed": 3, "data": tiny, "epochs": 2}
    settings = fastffdi.Settings(
        "test_efficientnet", str(recipe), output=folder / "run", loading=loading, **how
    )
    with closing(prepare(settings, settings.dataset(), lambda line: None)) as experiment:
        recorder = Classifier()

        def record(module: nn.Module, given: tuple[torch.Tensor]) -> None:
            if module.training:
                recorder(*given)

        experiment.trainer.model.register_forward_pre_hook(record)
        list(experiment.run(lambda images, means: None))
    return recorder.shown


@pytest.mark.filterwarnings("ignore")
def test_every_loop_is_shown_the_same_images(
    loader_of: Callable[[], fastffdi.Loader], tiny: Path, recipe_file: Path, tmp_path: Path
) -> None:
    plain, accelerated = Classifier(), Classifier()
    with loader_of() as loader:
        by_a_plain_loop(loader, plain)
    with loader_of() as loader:
        lightning = by_lightning(loader, tmp_path)
    with loader_of() as loader:
        by_accelerate(loader, accelerated)
    assert len(plain.shown) == len(set(plain.shown)) == 2 * 5
    assert lightning.shown == accelerated.shown == plain.shown
    assert torch.equal(lightning.layers[2].weight, plain.layers[2].weight)
    assert torch.equal(accelerated.layers[2].weight, plain.layers[2].weight)
    assert by_the_command(tiny, recipe_file, tmp_path) == plain.shown


def test_a_plain_loop_learns(tiny: Path) -> None:
    data, recipe = fastffdi.find_dataset(tiny), fastffdi.load_recipe(str(tiny / "recipe.yaml"))
    model = Classifier()
    with fastffdi.Loader(data.train, recipe.train, batch_size=8, device="cpu", shuffle=True) as loader:
        by_a_plain_loop(loader, model)
    with fastffdi.Loader(data.val, recipe.eval, batch_size=16, device="cpu") as loader:
        ((images, labels),) = loader
    assert (model.eval()(images).argmax(1) == labels).all()
