from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fastffdi.cli.loading import loader_settings
from fastffdi.errors import SettingError
from fastffdi.loaders.settings import Tuned


@click.command()
@click.option("--threads", type=int)
@click.option("--batch-size", type=int, default=64)
@loader_settings
def command(threads, batch_size, loader_settings):
    click.echo(f"{threads} {batch_size} {loader_settings.prefetch}")


@pytest.fixture
def file(tmp_path):
    Tuned(threads=3, prefetch=4, batch_size=16).write(tmp_path / "loader.yaml", [])
    return str(tmp_path / "loader.yaml")


def said(*words):
    return CliRunner().invoke(command, words, catch_exceptions=False).output.strip()


def test_without_a_file_defaults_stand():
    assert said() == "None 64 None"


def test_the_file_wins_over_defaults(file):
    assert said("--loader-settings", file) == "3 16 4"


def test_what_is_typed_wins_over_the_file_wherever_it_stands(file):
    assert said("--threads", "1", "--loader-settings", file) == "1 16 4"
    assert said("--loader-settings", file, "--batch-size", "64") == "3 64 4"


def test_what_the_file_leaves_out_keeps_its_default(file):
    Tuned(prefetch=1).write(Path(file), [])
    assert said("--loader-settings", file) == "None 64 1"


def test_a_wrong_file_is_named():
    with pytest.raises(SettingError, match=r"absent\.yaml: no such file"):
        said("--loader-settings", "absent.yaml")


@pytest.fixture
def given(monkeypatch):
    """The settings that loaders are built with, in their order."""
    from fastffdi.loaders import factory

    seen, build = [], factory.build_loader
    monkeypatch.setattr(
        factory, "build_loader", lambda name, planner, settings, device: seen.append((planner.batch_size, settings))
        or build(name, planner, settings, device)
    )  # fmt: skip
    return seen


def test_train_takes_the_file(fastffdi, tiny, tmp_path, file, given):
    words = ("--data", tiny, "--pipeline", tiny / "recipe.yaml", "--epochs", 1, "--output", tmp_path / "run")
    model = ("--backbone", "test_efficientnet", "--no-pretrained", "--amp", "off")
    code, _, err = fastffdi("train", *words, *model, "--loader-settings", file, "--threads", 1)
    assert code == 0
    assert "loader settings: threads 1, prefetch 4, batch size 16\n" in err
    assert [(size, how.threads, how.prefetch) for size, how in given] == [(16, 1, 4)] * 2


def test_predict_takes_the_file(fastffdi, tiny, tiny_run, tmp_path, file, given):
    best = tiny_run.settings.output / "best.safetensors"
    words = ("predict", best, tiny, "--output", tmp_path / "submit.csv", "--amp", "off")
    assert fastffdi(*words, "--loader-settings", file).code == 0
    assert [(size, how.threads, how.prefetch) for size, how in given] == [(16, 3, 4)]
