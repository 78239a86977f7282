from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fastffdi.cli.loading import loader_settings, merged, threads
from fastffdi.errors import SettingError
from fastffdi.loaders.settings import LoaderSettings, default_threads, write_settings


@click.command()
@threads
@click.option("--batch-size", type=int)
@loader_settings
def command(threads, batch_size, loader_settings):
    settings = merged(loader_settings, threads, batch_size)
    click.echo(f"{settings.threads} {settings.batch_size} {settings.prefetch}")


@pytest.fixture
def file(tmp_path):
    write_settings(tmp_path / "loader.yaml", {"threads": 3, "prefetch": 4, "batch_size": 16}, [])
    return str(tmp_path / "loader.yaml")


def shown(*words):
    return CliRunner().invoke(command, words, catch_exceptions=False).output.strip()


def test_without_a_file_there_are_defaults():
    assert shown() == f"{default_threads()} 64 2"


def test_the_file_wins_over_defaults(file):
    assert shown("--loader-settings", file) == "3 16 4"


def test_the_command_line_wins_over_the_file_in_any_order(file):
    assert shown("--threads", "1", "--loader-settings", file) == "1 16 4"
    assert shown("--loader-settings", file, "--batch-size", "64") == "3 64 4"


def test_what_the_file_leaves_out_keeps_its_default(file):
    write_settings(Path(file), {"prefetch": 1}, [])
    assert shown("--loader-settings", file) == f"{default_threads()} 64 1"


def test_a_wrong_file_is_named():
    with pytest.raises(SettingError, match=r"absent\.yaml: no such file"):
        shown("--loader-settings", "absent.yaml")


@pytest.fixture
def given(monkeypatch):
    """Batch sizes and settings that loaders are built with, in their order."""
    from fastffdi.loaders import factory

    seen, build = [], factory.build_loader

    def spy(name, planner, settings, device):
        seen.append((planner.batch_size, settings))
        return build(name, planner, settings, device)

    monkeypatch.setattr(factory, "build_loader", spy)
    return seen


def test_train_takes_the_file_and_options_win(fastffdi, tiny, tmp_path, file, given):
    words = ("--data", tiny, "--pipeline", tiny / "recipe.yaml", "--epochs", 1, "--output", tmp_path / "run")
    model = ("--backbone", "test_efficientnet", "--no-pretrained", "--amp", "off")
    more = ("--loader-settings", file, "--threads", 1, "--no-loader-process")
    code, _, err = fastffdi("train", *words, *model, *more)
    assert code == 0
    assert "loader settings: threads 1, batch size 16, prefetch 4, process False\n" in err
    assert given == [(16, LoaderSettings(1, 16, 4, process=False))] * 2


def test_predict_takes_the_file(fastffdi, tiny, tiny_run, tmp_path, file, given):
    best = tiny_run.settings.output / "best.safetensors"
    words = ("predict", best, tiny, "--output", tmp_path / "submit.csv", "--amp", "off")
    assert fastffdi(*words, "--loader-settings", file).code == 0
    assert given == [(16, LoaderSettings(3, 16, 4))]
