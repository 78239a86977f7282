import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fastffdi.data.layout import find_dataset
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.preview import sheet as module
from fastffdi.preview.sheet import Section
from fastffdi.render.device.stage import DeviceStage
from fastffdi.training.preparation import prepare
from fastffdi.training.settings import Settings

Run = Callable[..., Any]


@pytest.fixture
def preview(fastffdi: Run, tiny: Path, tmp_path: Path) -> Run:
    """preview("--draws", 2): of the tiny data by its recipe, to sheet.png."""
    given = ("--data", tiny, "--pipeline", tiny / "recipe.yaml", "-o", tmp_path / "sheet.png")
    return lambda *words: fastffdi("preview", *given, *words)


def size(out: str) -> tuple[int, int]:
    """Width and height that the command says."""
    width, height = out.split("(")[1].split(")")[0].split(" × ")
    return int(width), int(height)


def test_a_sheet_is_written_and_measured(preview: Run, tmp_path: Path):
    code, out, err = preview("--images", 3, "--draws", 2)
    assert (code, err) == (0, "")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (sheet.format, sheet.mode, sheet.size) == ("PNG", "RGB", size(out))
    assert out == f"sheet: {tmp_path / 'sheet.png'} ({sheet.width} × {sheet.height})\n"


def test_more_images_are_more_rows_and_more_draws_more_columns(preview: Run):
    width, height = size(preview("--images", 2, "--draws", 2).out)
    wider, taller = size(preview("--images", 4, "--draws", 4).out)
    assert wider > width
    assert taller > height


def test_the_same_command_draws_the_same_sheet_and_another_epoch_another(preview: Run, tmp_path: Path):
    def drawn(*words: object) -> np.ndarray:
        assert preview("--images", 4, "--draws", 1, *words).code == 0
        return np.asarray(Image.open(tmp_path / "sheet.png"))

    assert np.array_equal(drawn(), drawn())
    assert np.array_equal(drawn(), drawn("--epoch", 1))
    assert not np.array_equal(drawn(), drawn("--epoch", 2))
    assert not np.array_equal(drawn(), drawn("--seed", 1))


def test_steps_make_a_column_each(preview: Run):
    # file, resize, horizontal_flip
    assert size(preview("--steps").out)[0] > size(preview("--draws", 1).out)[0]


def test_mixing_adds_a_table(fastffdi: Run, tiny: Path, tmp_path: Path):
    mine = tmp_path / "mine.yaml"
    mine.write_text((tiny / "recipe.yaml").read_text() + "mix: {mixup: 0.4}\n")
    words = ("preview", "--data", tiny, "--images", 2, "-o", tmp_path / "sheet.png", "--pipeline")
    _, mixed = size(fastffdi(*words, mine).out)
    _, plain = size(fastffdi(*words, tiny / "recipe.yaml").out)
    _, evaluated = size(fastffdi(*words, mine, "--eval").out)
    assert mixed > plain == evaluated


def test_no_pairs_are_shown_in_an_epoch_left_unmixed(fastffdi: Run, tiny: Path, tmp_path: Path):
    mine = tmp_path / "mine.yaml"
    mine.write_text((tiny / "recipe.yaml").read_text() + "mix: {mixup: 0.4, off_epochs: 2}\n")
    words = ("preview", "--data", tiny, "--images", 2, "--epochs", 4, "-o", tmp_path / "sheet.png")
    for epoch in range(1, 5):
        mixed, plain = (
            size(fastffdi(*words, "--epoch", epoch, "--pipeline", recipe).out)[1]
            for recipe in (mine, tiny / "recipe.yaml")
        )
        assert (mixed > plain) == (epoch <= 2)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[Section]:
    """The tables of the sheets that are drawn, in their order."""
    seen, draw = [], module.sheet

    def spy(title: str, remark: str, sections: list[Section]) -> Image.Image:
        seen.extend(sections)
        return draw(title, remark, sections)

    monkeypatch.setattr(module, "sheet", spy)
    return seen


TRAINING = "  - random_resized_crop: {size: [32, 32]}\n"
VIEWS = "  - random_resized_crop: {size: [40, 40]}\n  - five_crop: {size: [32, 32]}\n"


@pytest.fixture
def uneven(tiny: Path, tmp_path: Path) -> Path:
    """The tiny data with 20 real and 3 fake images for training."""
    data = shutil.copytree(tiny, tmp_path / "data")
    rows = [f"{k:02d}.jpg,{k % 2}\n" for k in (*range(0, 40, 2), 1, 3, 5)]
    (data / "trainset_label.txt").write_text("img_name,target\n" + "".join(rows))
    return data


def recipe_of(folder: Path, steps: str, mix: str = "") -> Path:
    """The tiny recipe with other steps for training in place of its resize."""
    mine = folder / "mine.yaml"
    text = (folder / "data" / "recipe.yaml").read_text()
    mine.write_text(text.replace("  - resize: {size: [32, 32]}\n", steps, 1) + mix)
    return mine


def run_of(data: Path, recipe: Path, batch_size: int, balance: bool, seed: int) -> Any:
    """The run of `train` on the data that a preview is to be compared with."""
    settings = Settings(
        "test_efficientnet", str(recipe), 5, 1e-3, data.parent / "run", LoaderSettings(1, batch_size),
        "cpu", "cpu", "off", pretrained=False, balance=balance, seed=seed,
    )  # fmt: skip
    return closing(prepare(settings, find_dataset(data), lambda line: None))


@pytest.mark.parametrize("way", ["--steps", "--draws"])
@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize(("steps", "views"), [(TRAINING, 1), (VIEWS, 5)], ids=["one view", "five views"])
def test_a_preview_shows_the_first_batch_of_train(
    fastffdi: Run, uneven: Path, tmp_path: Path, tables: list, steps: str, views: int, balance: bool, way: str
):
    mine, flag = recipe_of(tmp_path, steps), ("--balance",) if balance else ()
    shown = ("--steps",) if way == "--steps" else ("--draws", 1)
    words = ("--data", uneven, "--pipeline", mine, "--images", 20, "--epoch", 2, "--seed", 3, *shown, *flag)
    assert fastffdi("preview", *words, "-o", tmp_path / "sheet.png").code == 0

    with run_of(uneven, mine, 20, balance, seed=3) as experiment:
        batch = next(experiment.train.backend.epoch(1))
    pixels = DeviceStage(torch.device("cpu"), torch.float32).pixels(batch).numpy()
    (table,) = tables
    assert [row.title for row in table.rows] == experiment.dataset.train.names[batch.rows].tolist()
    assert [row.note for row in table.rows] == [("real", "fake")[label] for label in batch.labels]
    drawn = [cell.image for row in table.rows for cell in row.cells[-views:]]
    np.testing.assert_array_equal(drawn, pixels)
    assert (len(set(batch.rows.tolist())) < 20) == (batch.repeats.max() > 0) == balance


@pytest.mark.parametrize("balance", [False, True])
def test_the_pairs_shown_are_those_that_train_mixes(
    fastffdi: Run, uneven: Path, tmp_path: Path, tables: list, balance: bool
):
    mine, flag = recipe_of(tmp_path, TRAINING, "mix: {mixup: 1.0}\n"), ("--balance",) if balance else ()
    words = ("--data", uneven, "--pipeline", mine, "--images", 20, "--epoch", 2, "--seed", 3, *flag)
    assert fastffdi("preview", *words, "-o", tmp_path / "sheet.png").code == 0

    with run_of(uneven, mine, 21, balance, seed=3) as experiment:
        batch, loader = next(experiment.train.backend.epoch(1)), experiment.train
    before, labels = loader.stage.pixels(batch).numpy(), torch.from_numpy(batch.labels)
    mixed, partners, share = loader.mixer(loader.stage(batch), labels, batch)
    normalize = batch.remaining.normalize
    values = (mixed.permute(0, 2, 3, 1) * torch.tensor(normalize.std) + torch.tensor(normalize.mean)) * 255
    own, others, results = tables[1].rows
    for k in range(20):
        np.testing.assert_array_equal(own.cells[k].image, before[k])
        np.testing.assert_array_equal(others.cells[k].image, before[k + 1])
        np.testing.assert_allclose(results.cells[k].image, values[k].clamp(0, 255), atol=0.501)
        a, b = (("real", "fake")[label] for label in (labels[k], partners[k]))
        soft = a if a == b else f"{share[k]:.2f} {a} + {1 - share[k]:.2f} {b}"
        assert results.cells[k].caption == soft
    assert "+" in "".join(cell.caption for cell in results.cells)
    assert (batch.repeats.max() > 0) == balance


@pytest.mark.parametrize("way", ["--steps", "--draws"])
def test_eval_shows_the_steps_of_validation_on_the_images_of_training(
    fastffdi: Run, uneven: Path, tmp_path: Path, tables: list, way: str
):
    mine = recipe_of(tmp_path, VIEWS)
    shown = ("--steps",) if way == "--steps" else ("--draws", 3)
    words = ("--data", uneven, "--pipeline", mine, "--images", 20, "--epoch", 2, "--seed", 3, "--eval")
    assert fastffdi("preview", *words, *shown, "-o", tmp_path / "sheet.png").code == 0

    with run_of(uneven, mine, 20, balance=False, seed=3) as experiment:
        rows = next(experiment.train.backend.epoch(1)).rows
    dataset = experiment.dataset
    swapped = replace(dataset, val=dataset.train)
    settings = replace(experiment.settings, loading=LoaderSettings(1, len(dataset.train)))
    with closing(prepare(settings, swapped, lambda line: None)) as evaluated:
        batch = next(evaluated.val.backend.epoch(0))
    pixels = DeviceStage(torch.device("cpu"), torch.float32).pixels(batch).numpy()
    (table,) = tables
    assert table.columns == ["file", "1 · resize" if way == "--steps" else "epoch 2"]
    assert [row.title for row in table.rows] == dataset.train.names[rows].tolist()
    np.testing.assert_array_equal([row.cells[1].image for row in table.rows], pixels[rows])


def test_any_folder_of_images_will_do(fastffdi: Run, tiny: Path, tmp_path: Path):
    words = ("--pipeline", tiny / "recipe.yaml", "--images", 2, "-o", tmp_path / "sheet.png")
    assert fastffdi("preview", "--data", tiny / "valset", *words).code == 0
    code, _, err = fastffdi("preview", "--data", tiny / "valset", *words, "--balance")
    assert (code, err) == (
        2, "fastffdi: --balance: needs labels, and these images have none; leave it out\n",
    )  # fmt: skip


def test_without_data_it_says_that_it_shows_demo_images(
    fastffdi: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # The demo set itself takes half a minute to make.
    monkeypatch.setattr("fastffdi.demo.dataset.demo_folder", lambda progress: tiny)
    code, _, err = fastffdi("preview", "--images", 2, "--draws", 1, "-o", tmp_path / "sheet.png")
    assert code == 0
    assert "using the built-in demo images" in err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("-o", "sheet.gif"),
            "--output sheet.gif: is no image; name a file that ends in .png, .jpg, .jpeg",
        ),
        (("-o", "absent/sheet.png"), "--output absent/sheet.png: there is no folder absent; make it first"),
        (("--pipeline", "standart"), "--pipeline standart: neither a shipped recipe"),
        (("--backbone", "resnet"), "unknown backbone 'resnet', did you mean"),
    ],
)
def test_mistakes_are_one_line_and_code_2(preview: Run, words: tuple[str, ...], line: str):
    code, out, err = preview(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"fastffdi: {line}")
    assert err.count("\n") == 1
