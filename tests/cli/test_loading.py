from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fastffdi.cli.loading import loader_settings, merged, threads
from fastffdi.errors import RunError, SettingError
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
    """The loader settings that commands hand on to what then ends them."""
    seen = []

    def prepare(settings, *_):
        seen.append(settings.loading)
        raise RunError("enough")

    def predictor(*_, loading, **__):
        seen.append(loading)
        raise RunError("enough")

    monkeypatch.setattr("fastffdi.training.preparation.prepare", prepare)
    monkeypatch.setattr("fastffdi.inference.predict.Predictor", predictor)
    return seen


def test_train_takes_the_file_and_options_win(fastffdi, tiny, tmp_path, file):
    words = ("--data", tiny, "--pipeline", tiny / "recipe.yaml", "--epochs", 1, "--output", tmp_path / "run")
    model = ("--backbone", "test_efficientnet", "--no-pretrained", "--amp", "off", "--limit", 8)
    more = ("--loader-settings", file, "--threads", 1, "--no-loader-process")
    code, _, err = fastffdi("train", *words, *model, *more)
    assert code == 0
    assert "loader settings: threads 1, batch size 16, prefetch 4, process False\n" in err


CASES = [
    (None, (), LoaderSettings()),
    (None, ("--threads", 3, "--batch-size", 5), LoaderSettings(3, 5)),
    (None, ("--loader-process",), LoaderSettings(process=True)),
    (None, ("--no-loader-process",), LoaderSettings(process=False)),
    ({}, (), LoaderSettings()),
    ({"prefetch": 1}, (), LoaderSettings(prefetch=1)),
    ({"threads": 2, "batch_size": 16}, (), LoaderSettings(2, 16)),
    ({"hw_decoder_load": 0.5, "process": False}, (), LoaderSettings(process=False, hw_decoder_load=0.5)),
    ({"batch_size": 16, "prefetch": 3}, ("--batch-size", 64), LoaderSettings(prefetch=3)),
    ({"threads": 3, "batch_size": 16}, ("--threads", 1), LoaderSettings(1, 16)),
    ({"process": True}, ("--no-loader-process",), LoaderSettings(process=False)),
]


@pytest.mark.parametrize("command", ["train", "predict"])
@pytest.mark.parametrize(("in_file", "words", "expected"), CASES)
def test_an_option_wins_over_the_file_and_that_over_the_default(
    fastffdi, tiny, tmp_path, given, command, in_file, words, expected
):
    if in_file is not None:
        write_settings(tmp_path / "own.yaml", in_file, [])
        words = (*words, "--loader-settings", tmp_path / "own.yaml")
    needed = ("--data", tiny) if command == "train" else ("any.safetensors", tiny / "valset")
    assert fastffdi(command, *needed, *words).err == "fastffdi: enough\n"
    assert given == [expected]
