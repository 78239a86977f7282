from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fastffdi.data.manifest import Manifest
from fastffdi.evaluation.scored import Scored
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import Prepared
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.preview import sheet
from fastffdi.recipe.kernels import Normalize
from fastffdi.recipe.program import Program
from fastffdi.recipe.recipe import load
from fastffdi.training import sheets
from fastffdi.training.watch import Seen

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.5, 0.2)


@pytest.fixture
def shown(monkeypatch):
    """The sections of every sheet that is drawn, in place of its pixels."""
    drawn = []

    def sheet_of(title, remark, sections):
        drawn.append((title, remark, sections))
        return sheet.sheet(title, remark, sections)

    monkeypatch.setattr(sheets, "sheet", sheet_of)
    return drawn


def cells(sections):
    return [cell for section in sections for row in section.rows for cell in row.cells]


def grey(values, views=1):
    """A batch of plain images of these values, normalised; rows are 10, 11, …"""
    count = len(values) // views
    images = torch.tensor(values).float()[:, None, None, None].expand(-1, 3, 8, 8) / 255
    mean, std = (torch.tensor(of)[:, None, None] for of in (MEAN, STD))
    rows = np.arange(10, 10 + count)
    batch = Batch(images[:0], rows % 2, rows, 0 * rows, np.ones(count, bool), 0, Program.of(()), views)
    return batch, (images - mean) / std


IMAGES = Manifest("/images", np.array([f"{k}.jpg" for k in range(60)], object), np.arange(60) % 2)


def test_the_first_batch_is_normalised_back_and_labelled(shown):
    batch, images = grey([0, 100, 255])
    labels = torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.0, 1.0]])
    sheets.first_batch(batch, Prepared(images, labels, torch.ones(3)), Normalize(MEAN, STD), IMAGES)
    (title, remark, sections) = shown[0]
    assert (title, remark) == (
        "The first training batch",
        "3 of 3 images, 8 x 8 pixels, normalised back",
    )
    assert [cell.image.reshape(-1).tolist() for cell in cells(sections)] == [[v] * 192 for v in (0, 100, 255)]
    assert [cell.caption for cell in cells(sections)] == ["real", "0.25 real + 0.75 fake", "fake"]
    assert [cell.note for cell in cells(sections)] == ["10.jpg", "11.jpg", "12.jpg"]


def test_placeholders_are_not_shown_and_views_have_the_name_of_their_image(shown):
    batch, images = grey([0, 50, 100, 150, 200, 250], views=2)
    batch = replace(batch, valid=np.array([True, False, True]))
    labels = torch.tensor([0, 0, 1, 1, 0, 0])
    sheets.first_batch(batch, Prepared(images, labels, torch.ones(6)), Normalize(MEAN, STD), IMAGES)
    found = cells(shown[0][2])
    assert [(cell.image[0, 0, 0], cell.note, cell.caption) for cell in found] == [
        (0, "10.jpg", "real"),
        (50, "10.jpg", "real"),
        (200, "12.jpg", "real"),
        (250, "12.jpg", "real"),
    ]


def test_no_more_than_a_sheet_holds_is_shown(shown):
    batch, images = grey([7] * 40)
    prepared = Prepared(images, torch.zeros(40, dtype=torch.int64), torch.ones(40))
    sheets.first_batch(batch, prepared, Normalize(MEAN, STD), IMAGES)
    assert [len(row.cells) for row in shown[0][2][0].rows] == [6, 6, 6, 6]
    assert shown[0][1].startswith("24 of 40 images")


def test_mistakes_are_the_wrong_ones_of_each_class_the_worst_first(shown, image_files):
    images = image_files.take(np.arange(6))  # real and fake in turn
    found = Scored(images.names, images.labels, np.array([0.6, 0.2, 0.9, 0.5, 0.4, 0.1]))
    sheets.mistakes(found, images, 2)
    _, remark, (fake, real) = shown[0]
    assert remark == "epoch 3, 6 validation images; y_pred is P(fake)"
    assert fake.heading == "fake images taken for real: the worst 2 of 2"
    assert [(cell.caption, cell.note) for cell in cells([fake])] == [
        ("05.jpg", "y_pred 0.100"),
        ("01.jpg", "y_pred 0.200"),
    ]
    assert [cell.caption for cell in cells([real])] == ["02.jpg", "00.jpg"]


def test_no_mistake_is_no_sheet_and_files_that_have_gone_are_left_out(image_files, tmp_path):
    images = image_files.take(np.arange(2))
    names = images.names
    right, wrong = np.array([0.1, 0.9]), np.array([0.9, 0.1])
    assert sheets.mistakes(Scored(names, images.labels, right), images, 0) is None
    assert sheets.mistakes(Scored(names, images.labels, wrong), replace(images, root="/gone"), 0) is None
    assert sheets.mistakes(Scored(names, images.labels, wrong), images, 0).size > (192, 192)


def test_a_batch_is_drawn_again_as_its_epoch_had_it(shown, tiny, dataset):
    recipe = load(str(tiny / "recipe.yaml")).resolve((1, 1), (0.0,) * 3, (1.0,) * 3)
    planner = BatchPlanner.of_split(recipe, "train", dataset.train, LoaderSettings(1, 8), seed=3)
    plan = [*planner.epoch(1)][2]
    sheets.again(planner, Seen(1, 2, plan.rows, plan.repeats, torch.zeros(3)))
    assert shown[0][2][0].heading == "Epoch 2, batch 3"
    found = cells(shown[0][2])
    assert [cell.note for cell in found] == [str(dataset.train.names[row]) for row in plan.rows]
    assert [cell.caption for cell in found] == [("real", "fake")[row % 2] for row in plan.rows]
    with Image.open(dataset.train.paths(plan.rows[:1])[0]) as file:
        mean = np.asarray(file).mean()
    assert found[0].image.shape == (32, 32, 3)
    assert found[0].image.mean() == pytest.approx(mean, abs=3)
