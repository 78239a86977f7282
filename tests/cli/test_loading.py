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


@pytest.mark.parametrize(
    ("in_file", "words", "expected"),
    [
        ({}, (), LoaderSettings()),
        ({"prefetch": 1}, (), LoaderSettings(prefetch=1)),
        ({"threads": 2, "batch_size": 16}, (), LoaderSettings(2, 16)),
        ({"hw_decoder_load": 0.5, "process": False}, (), LoaderSettings(process=False, hw_decoder_load=0.5)),
        ({"batch_size": 16, "prefetch": 3}, ("--batch-size", 64), LoaderSettings(prefetch=3)),
        ({"threads": 3, "batch_size": 16}, ("--threads", 1), LoaderSettings(1, 16)),
        ({"process": True}, ("--no-loader-process",), LoaderSettings(process=False)),
    ],
)
def test_in_training_an_option_wins_over_the_file_and_that_over_the_default(
    fastffdi, tiny, tmp_path, given, in_file, words, expected
):
    write_settings(tmp_path / "own.yaml", in_file, [])
    data = ("--data", tiny, "--pipeline", tiny / "recipe.yaml", "--limit", 8, "--epochs", 1)
    model = ("--backbone", "test_efficientnet", "--no-pretrained", "--device", "cpu", "--amp", "off")
    places = ("--output", tmp_path / "run", "--loader-settings", tmp_path / "own.yaml")
    code, _, err = fastffdi("train", *words, *data, *model, *places)
    assert code == 0
    assert given == [(expected.batch_size, expected)] * 2
    assert f"loader settings: {expected.described()}\n" in err


def test_without_a_file_training_takes_the_defaults_and_says_nothing_of_them(fastffdi, tiny, tmp_path, given):
    data = ("--data", tiny, "--pipeline", tiny / "recipe.yaml", "--limit", 8, "--epochs", 1)
    model = ("--backbone", "test_efficientnet", "--no-pretrained", "--device", "cpu", "--amp", "off")
    code, _, err = fastffdi("train", *data, *model, "--output", tmp_path / "run")
    assert code == 0
    assert given == [(64, LoaderSettings())] * 2
    assert "loader settings" not in err


def test_predict_takes_the_file(fastffdi, tiny, tiny_run, tmp_path, file, given):
    best = tiny_run.settings.output / "best.safetensors"
    words = ("predict", best, tiny, "--output", tmp_path / "submit.csv", "--amp", "off")
    assert fastffdi(*words, "--loader-settings", file).code == 0
    assert given == [(16, LoaderSettings(3, 16, 4))]
