"""A run that several processes share: what one alone gives, every image once, and one end for all."""

import csv
import json
import time
from dataclasses import replace

import numpy as np
import pytest
import together as processes
import torch
from experiments import figures, settings_of, with_mixing
from outcomes import Outcome, variants

from fastffdi.data.layout import find_dataset
from fastffdi.errors import SettingError
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.training.optimisation import Optimisation

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def odd(tiny, tmp_path):
    """39 training images and 15 to validate, so that nothing is divided evenly; one of each is broken."""
    folder = tmp_path / "odd"
    for split, count in (("train", 39), ("val", 15)):
        (folder / f"{split}set").mkdir(parents=True)
        rows = (tiny / f"{split}set_label.txt").read_text().splitlines()[: count + 1]
        (folder / f"{split}set_label.txt").write_text("\n".join(rows) + "\n")
        for file in sorted((tiny / f"{split}set").iterdir())[:count]:
            (folder / f"{split}set" / file.name).symlink_to(file)
        broken = folder / f"{split}set" / "05.jpg"
        broken.unlink()
        broken.write_bytes(b"broken")
    return find_dataset(folder, follow_symlinks=True)


def rows_of(record, begun, size, until=None):
    """The rows of each epoch that so many processes have trained on, from update `begun` to `until`."""
    found = {}
    for rank in range(size):
        for line in (record / f"{size}-{rank}.jsonl").read_text().splitlines():
            update, epoch, rows = json.loads(line)
            if begun <= update and (until is None or update < until):
                found.setdefault(epoch, []).extend(rows)
    return found


@pytest.mark.parametrize("size", [2, 3])
def test_scores_are_those_of_one_process_each_row_once(settings, odd, together, size):
    settings = replace(settings, max_corrupt=0.5)
    settings.output.mkdir()
    alone, rows, corrupt = processes.scores(settings, odd)
    assert corrupt == [5]
    _, values = together(size, "scores", settings, odd)
    assert sorted(row for _, rows, _ in values for row in rows) == list(range(15)) == rows.tolist()
    for shared, _, broken in values:
        np.testing.assert_allclose(shared, alone, rtol=0, atol=1e-6)
        assert broken == corrupt


@pytest.mark.parametrize("size", [2, 3])
def test_the_gradient_is_that_of_one_process_placeholders_left_out(settings, odd, together, size):
    settings = replace(settings, loading=LoaderSettings(threads=1, batch_size=39), max_corrupt=0.5)
    settings.output.mkdir()
    alone, count = processes.gradients(settings, odd)
    assert count == 38
    _, values = together(size, "gradients", settings, odd)
    assert sum(count for _, count in values) == 38
    for shared, _ in values:
        for name, gradient in alone.items():
            torch.testing.assert_close(shared[name], gradient, rtol=1e-4, atol=1e-5)


def test_the_skipped_images_of_all_are_counted_and_listed(settings, odd, together):
    settings = replace(settings, epochs=1, max_corrupt=0.5)
    _, values = together(2, "train", settings, odd)
    assert [results[0].corrupt for _, results, _ in values] == [2, 2]
    with (settings.output / "quarantine.csv").open() as file:
        assert [row["img_name"] for row in csv.DictReader(file)] == ["05.jpg"]
    assert len({json.dumps(results[0].validation) for _, results, _ in values}) == 1
    assert len({results[0].train_loss for _, results, _ in values}) == 1


def test_stopped_and_gone_on_with_by_2_3_and_1_each_image_is_seen_once(settings, dataset, together, tmp_path):
    resumed = replace(settings, resume="must")
    _, first = together(2, "train", settings, dataset, 5 + 2 + 2, record=tmp_path)
    where = "stopped in epoch 2 of 3, after 16 of 40 training images"
    assert {error for _, error, _ in first} == {
        processes.Error("Stopped", f"{where}; all of it is kept in {settings.output}", 15)
    }
    _, second = together(3, "train", resumed, dataset, 3 + 3 + 1, rank=2, record=tmp_path)
    assert [begun for begun, *_ in second] == [7] * 3
    assert "processes: 3, before 2; the same images in the same updates" in second[0][2][-1]
    assert second[1][2] == []
    _, ((begun, results, _),) = together(1, "train", resumed, dataset, record=tmp_path)
    assert begun == 11
    assert len(results) == 1
    seen = [rows_of(tmp_path, 0, 2, 7), rows_of(tmp_path, 7, 3, 11), rows_of(tmp_path, 11, 1)]
    for epoch in range(3):
        assert sorted(row for part in seen for row in part.get(epoch, [])) == list(range(40))
    assert [row["epoch"] for row in figures(settings.output)] == ["1", "2", "3"]


def test_killed_and_gone_on_with_by_another_number_each_image_is_seen_once(
    settings, dataset, together, tmp_path
):
    settings = replace(settings, save_every="1", epochs=2)
    began = time.monotonic()
    codes, values = together(2, "train", settings, dataset, 8, "kill", record=tmp_path)
    assert time.monotonic() - began < 10
    assert codes == [0, -9]
    assert values[0][1].kind == "Lost"
    _, values = together(3, "train", replace(settings, resume="must"), dataset, record=tmp_path)
    begun = values[0][0]
    assert 4 <= begun <= 6  # the last may have been being written
    seen = [rows_of(tmp_path, 0, 2, begun), rows_of(tmp_path, begun, 3)]
    for epoch in range(2):
        assert sorted(row for part in seen for row in part.get(epoch, [])) == list(range(40))


def test_by_as_many_it_ends_as_it_would_have_to_the_bit(tiny, dataset, together, tmp_path):
    whole = with_mixing(settings_of(tiny, tmp_path / "whole"), tmp_path)
    together(2, "train", whole, dataset)
    stopped = replace(whole, output=tmp_path / "stopped")
    for stop in (3, 4, 0):
        together(2, "train", stopped, dataset, stop, rank=0)
        stopped = replace(stopped, resume="must")
    Outcome.of(whole.output).check(Outcome.of(stopped.output))


def test_accumulated_an_update_is_that_of_one_process(settings, odd, together):
    settings = replace(settings, epochs=1, max_corrupt=0.5, loading=LoaderSettings(threads=1, batch_size=10))
    settings = replace(settings, optimisation=Optimisation(optimiser="sgd", accumulate=3), overwrite=True)
    (alone,) = together(1, "updated", settings, odd).values
    _, values = together(2, "updated", settings, odd)
    for weights, norm in values:
        assert norm == pytest.approx(alone[1], rel=1e-3)
        for name, weight in alone[0].items():
            torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "how", [{"ema": 0.9}, {"freeze": 1}, {"tune": "head"}, {"tune": "norm", "accumulate": 2}]
)
def test_whatever_is_trained_it_goes_on_to_the_bit(settings, dataset, together, tmp_path, how):
    whole = replace(settings, output=tmp_path / "whole", optimisation=Optimisation(**how))
    _, values = together(2, "train", whole, dataset)
    assert [len(results) for _, results, _ in values] == [3, 3]
    stopped = replace(whole, output=tmp_path / "stopped")
    for stop in (4, 0):
        together(2, "train", stopped, dataset, stop, rank=0)
        stopped = replace(stopped, resume="must")
    Outcome.of(whole.output).check(Outcome.of(stopped.output))


@pytest.mark.parametrize("name", ["process", "dali", "cache", "torchvision"])
def test_by_every_loader_each_image_is_seen_once(tiny, dataset, together, tmp_path, name):
    plain = settings_of(tiny, tmp_path / "run")
    settings = replace(plain, backend=name) if name == "torchvision" else variants(tiny, tmp_path)[name]
    codes, values = together(2, "train", replace(settings, epochs=1), dataset, record=tmp_path)
    assert codes == [0, 0]
    assert [len(results) for _, results, _ in values] == [1, 1]
    assert sorted(rows_of(tmp_path, 0, 2)[0]) == list(range(40))


def test_sizes_that_a_recipe_needs_come_from_the_first(settings, odd, together, tmp_path):
    steps = "{random_resized_crop: {size: [32, 32]}}", "{resize: {size: [32, 32]}}"
    recipe = tmp_path / "sized.yaml"
    recipe.write_text("train: [{}, normalize]\neval: [{}, normalize]\n".format(*steps))
    _, values = together(2, "train", replace(settings, pipeline=str(recipe), epochs=1, max_corrupt=0.5), odd)
    assert [results[0].corrupt for _, results, _ in values] == [2, 2]


def test_one_that_is_killed_ends_all(settings, dataset, together):
    codes, values = together(3, "train", settings, dataset, 3, "kill", rank=0)
    assert codes == [-9, 0, 0]
    assert [value[1].kind for value in values[1:]] == ["Lost", "Lost"]


def test_a_signal_in_validation_stops_all(settings, dataset, together):
    _, values = together(2, "train", settings, dataset, 6)
    assert {error.text for _, error, _ in values} == {
        f"stopped in the validation of epoch 1 of 3; all of it is kept in {settings.output}"
    }


def test_what_the_first_refuses_all_refuse_and_nothing_is_written(settings, dataset, together, tmp_path):
    settings = replace(settings, weights=tmp_path / "absent.pth")
    _, values = together(2, "train", settings, dataset)
    assert [type(value) for value in values] == [SettingError] * 2
    assert len(set(map(str, values))) == 1
    assert not settings.output.exists()


def test_more_processes_than_images_of_a_batch_are_refused(settings, dataset, together):
    settings = replace(settings, loading=LoaderSettings(threads=1, batch_size=2))
    _, values = together(3, "train", settings, dataset)
    assert {str(value) for value in values} == {
        "--batch-size: 2 for 3 processes; each needs one of every batch: start fewer processes"
    }


@pytest.mark.parametrize(
    ("size", "more"),
    [(2, {}), (3, {}), (2, {"views": "random:3"}), (3, {"views": "tiles:2", "scales": (1, 2)})],
)
def test_predictions_are_those_of_one_process(tiny_run, odd, together, size, more):
    path = tiny_run.settings.output / "best.safetensors"
    alone, reasons = processes.predict([path], odd.val, **more)
    assert np.isnan(alone).sum() == 1
    _, values = together(size, "predict", [path], odd.val, **more)
    for shared, why in values:
        np.testing.assert_allclose(shared, alone, rtol=0, atol=1e-6)
        assert why == reasons
