"""Settings from `--config FILE`, and what wins over them."""

from pathlib import Path

import pytest
from commands import PLAIN, refused
from safetensors.torch import load_file

from fastffdi.errors import RunError
from fastffdi.loaders.settings import LoaderSettings


@pytest.fixture
def given(monkeypatch):
    """The settings that the command hands on to `prepare`, which then ends it."""
    seen = []

    def prepare(settings, dataset, say):
        seen.append(settings)
        raise RunError("enough")

    monkeypatch.setattr("fastffdi.training.preparation.prepare", prepare)
    return seen


@pytest.fixture
def own(tiny, tmp_path):
    text = f"data: {tiny}\nepochs: 2\nlearning_rate: 1e-2\nseed: 5\nloading: {{batch_size: 8, prefetch: 5}}\n"
    (tmp_path / "own.yaml").write_text(text)
    return tmp_path / "own.yaml"


def test_a_file_gives_the_settings(fastffdi, own, given, tiny):
    assert fastffdi("train", "--config", own).err == "fastffdi: enough\n"
    (settings,) = given
    assert (settings.data, settings.epochs, settings.learning_rate) == (Path(tiny), 2, 0.01)
    assert settings.loading == LoaderSettings(batch_size=8, prefetch=5)


def test_what_is_typed_wins_even_where_it_is_the_default(fastffdi, own, given):
    fastffdi("train", "--epochs", 5, "--batch-size", 64, "--config", own, "--loader", "cpu")
    (settings,) = given
    assert (settings.epochs, settings.backend, settings.seed) == (5, "cpu", 5)
    assert settings.loading == LoaderSettings(batch_size=64, prefetch=5)


def test_a_file_of_loader_settings_that_is_typed_wins_too(fastffdi, own, given, tmp_path):
    (tmp_path / "loader.yaml").write_text("prefetch: 3\n")
    fastffdi("train", "--config", own, "--loader-settings", tmp_path / "loader.yaml", "--threads", 1)
    assert given[0].loading == LoaderSettings(threads=1, batch_size=8, prefetch=3)


def test_label_files_that_are_typed_take_the_place_of_the_files_folder(fastffdi, own, given, tiny):
    words = [
        word
        for split in ("train", "val")
        for word in (f"--{split}-labels", tiny / f"{split}set_label.txt", f"--{split}-images", tiny)
    ]
    words[3], words[7] = tiny / "trainset", tiny / "valset"
    fastffdi("train", "--config", own, *words)
    assert given[0].data is None
    assert given[0].val_images == tiny / "valset"


def test_a_folder_that_is_typed_takes_the_place_of_the_files_label_files(fastffdi, given, tiny, tmp_path):
    keys = ("train_labels", "train_images", "val_labels", "val_images")
    (tmp_path / "own.yaml").write_text("".join(f"{key}: x\n" for key in keys))
    fastffdi("train", "--config", tmp_path / "own.yaml", "--data", tiny)
    assert (given[0].data, given[0].train_labels) == (tiny, None)


def test_relative_paths_are_seen_from_where_the_command_runs(fastffdi, given, tiny, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "own.yaml").write_text("data: tiny\ncache: kept\n")
    (tmp_path / "tiny").symlink_to(tiny)
    monkeypatch.chdir(tmp_path)
    assert fastffdi("train", "--config", "elsewhere/own.yaml").err == "fastffdi: enough\n"
    assert (given[0].data, given[0].cache) == (Path("tiny"), Path("kept"))


def test_mistakes_leave_nothing_behind(fastffdi, tmp_path, output):
    (tmp_path / "own.yaml").write_text("seed: 1\nepoch: 2\n")
    line = refused(fastffdi("train", "--config", tmp_path / "own.yaml", "--output", output), output)
    assert line == f"{tmp_path}/own.yaml: line 2: unknown key 'epoch', did you mean 'epochs'?"


def test_the_settings_that_a_run_wrote_repeat_it(train, fastffdi, output, tmp_path):
    assert train("--limit", 16, "--seed", 3).code == 0
    ended = fastffdi("train", "--config", output / "config.yaml", "--output", tmp_path / "again")
    assert ended.code == 0, ended.err
    first, second = (load_file(run / "last.safetensors") for run in (output, tmp_path / "again"))
    assert all(first[key].equal(second[key]) for key in first)
    assert (tmp_path / "again" / "config.yaml").read_text() == (output / "config.yaml").read_text()


def test_a_run_goes_on_by_its_own_settings(train, fastffdi, output):
    assert train("--limit", 8).code == 0
    ended = fastffdi("train", "--config", output / "config.yaml", "--output", output, "--resume")
    assert ended.code == 0
    assert f"{output}: this run is finished, after 1 epochs" in ended.err


def test_without_a_file_nothing_changes(fastffdi, given, tiny):
    fastffdi("train", *PLAIN, "--data", tiny)
    assert given[0].loading == LoaderSettings(threads=1)
