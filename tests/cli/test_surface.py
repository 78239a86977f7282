"""The commands, their options and defaults, as users know them: a change here is one that users see."""

import re

import click
import pytest

from fastffdi.cli.main import COMMANDS, cli
from fastffdi.loaders.settings import LoaderSettings

#: What `cli.loading.loading` gives a command.
LOADING = {
    "--loader": "auto",
    "--batch-size": None,
    "--threads": None,
    "--loader-process/--no-loader-process": None,
    "--cache": None,
    "--loader-settings": None,
    "--memory-cap": None,
    "--device": "auto",
    "--amp": "auto",
}
#: What `cli.viewing.viewing` gives a command.
VIEWING = {"--views": None, "--pool": "mean", "--scales": "1"}
SURFACE = {
    "fastffdi": {"--debug": False},
    "train": {
        "--config": None,
        "--data": None,
        "--train-labels": None,
        "--train-images": None,
        "--val-labels": None,
        "--val-images": None,
        "--limit": None,
        "--backbone": "efficientnet_b0",
        "--weights": None,
        "--pretrained/--no-pretrained": None,
        "--imagenet1k-only": False,
        "--pipeline": None,
        "--epochs": 5,
        "--lr": 0.001,
        "--tune": "all",
        "--freeze": 0,
        "--accumulate": 1,
        "--label-smoothing": 0.0,
        "--ema": None,
        "--balance": False,
        "--follow-symlinks": False,
        **LOADING,
        "--compile": False,
        "--on-corrupt": "skip",
        "--max-corrupt": 0.01,
        "--max-megapixels": None,
        "--seed": 0,
        "-o --output": None,
        "--overwrite": False,
        "--resume": None,
        "--sync-bn": False,
        "--save-every": "10m",
        "--time-limit": None,
        "--holdout": None,
        "--seeds": None,
        "--folds": None,
        "--group-by": None,
        "--dry-run": False,
    },
    "predict": {
        "CHECKPOINT...": None,
        "[FOLDER|FILE|PATTERN|-...]": None,
        "--data": None,
        "--labels": None,
        "--images": None,
        "-o --output": "submit.csv",
        "--overwrite": False,
        "--resume": False,
        "--follow-symlinks": False,
        **VIEWING,
        **LOADING,
        "--on-corrupt": "skip",
        "--max-megapixels": None,
        "--excel-safe": False,
        "--fill": "",
        "--decide": False,
        "--stability": False,
        "--compile": False,
    },
    "evaluate": {
        "[CHECKPOINT...]": None,
        "--data": None,
        "--labels": None,
        "--images": None,
        "--scores": None,
        "--by": None,
        "--threshold": None,
        "--resamples": 2000,
        "--calibrate": None,
        "--choose-threshold": None,
        "--error-rate": None,
        "--store": False,
        "--stress": None,
        "--bias": False,
        "--stress-limit": 1000,
        "--json": None,
        "--report": None,
        "--overwrite": False,
        "--seed": 0,
        "--follow-symlinks": False,
        **VIEWING,
        **LOADING,
        "--on-corrupt": "skip",
        "--max-megapixels": None,
    },
    "compare": {"RUN...": None, "--json": None, "--csv": None},
    "check": {
        "--data": None,
        "--json": None,
        "--fix": None,
        "--quick": False,
        "--follow-symlinks": False,
        "--threads": None,
        "--overwrite": False,
    },
    "cache": {
        "--cache": None,
        "--data": None,
        "--limit": None,
        "--pipeline": None,
        "--backbone": "efficientnet_b0",
        "--follow-symlinks": False,
        "--threads": None,
        "--on-corrupt": "skip",
        "--seed": 0,
        "--list": False,
        "--clear": False,
    },
    "preview": {
        "--data": None,
        "--follow-symlinks": False,
        "--pipeline": None,
        "--backbone": "efficientnet_b0",
        "-o --output": "sheet.png",
        "--images": 6,
        "--draws": 6,
        "--epoch": 1,
        "--epochs": 5,
        "--seed": 0,
        "--balance": False,
        "--steps": False,
        "--eval": False,
    },
    "pipelines": {"[NAME]": None},
    "backbones": {
        "[PATTERN]": None,
        "--imagenet1k-only": False,
        "--speed": None,
        "--batch-size": None,
        "--device": "auto",
        "--amp": "auto",
        "--json": None,
    },
    "bench-loader": {
        "--data": None,
        "--follow-symlinks": False,
        "--pipeline": "jitter",
        "--loaders --loader": "all",
        "--threads": None,
        "--batch-size": None,
        "--cache": None,
        "--loader-settings": None,
        "--memory-cap": None,
        "--to": "normalised",
        "--thorough": False,
        "--seconds": None,
        "--repeats": None,
        "--device": "auto",
        "--amp": "auto",
        "--seed": 0,
        "--json": None,
        "--plot": None,
        "--tune": None,
        "--explain": False,
    },
    "bench-train": {
        "--data": None,
        "--follow-symlinks": False,
        "--pipeline": "standard",
        "--backbone": "efficientnet_b0",
        "--batch-size": None,
        "--loader": "auto",
        "--threads": None,
        "--loader-settings": None,
        "--memory-cap": None,
        "--device": "auto",
        "--amp": "auto",
        "--compile": False,
        "--seconds": 5.0,
        "--repeats": 5,
        "--baseline": False,
        "--seed": 0,
        "--json": None,
    },
    "demo-data": {"FOLDER": None, "--train": 600, "--val": 200, "--seed": 0},
    "doctor": {},
}


def command(name):
    found = cli if name == "fastffdi" else cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def shown(parameter):
    """A parameter as a user types it, and its default."""
    if isinstance(parameter, click.Argument):
        return parameter.make_metavar(click.Context(cli)), None
    name = "/".join(filter(None, (" ".join(parameter.opts), " ".join(parameter.secondary_opts))))
    return name, parameter.to_info_dict()["default"]


def parameters(name):
    return [p for p in command(name).params if "--version" not in p.opts]


def test_the_commands_are_these():
    assert ["fastffdi", *COMMANDS] == list(SURFACE)


@pytest.mark.parametrize("name", SURFACE)
def test_options_and_defaults_are_these(name):
    assert [shown(parameter) for parameter in parameters(name)] == list(SURFACE[name].items())


@pytest.mark.parametrize("name", SURFACE)
def test_help_works_and_names_every_option(fastffdi, name):
    words = [] if name == "fastffdi" else [name]
    for asked in ("--help", "-h"):
        code, out, err = fastffdi(*words, asked)
        assert (code, err) == (0, "")
        assert all(word in out for option in SURFACE[name] for word in re.findall(r"--[a-z-]+", option))


#: Options whose absence is no choice of a value, but one thing less to do.
WITHOUT_DEFAULT = (
    {
        ("train", name)
        for name in (
            "--config",
            "--train-labels",
            "--train-images",
            "--val-labels",
            "--val-images",
            "--weights",
            "--group-by",
        )
    }
    | {("predict", "--data"), ("predict", "--labels")}
    | {
        ("evaluate", name)
        for name in ("--data", "--labels", "--scores", "--by", "--threshold", "--json", "--report")
    }
    | {(name, "--cache") for name in ("train", "predict", "evaluate", "cache", "bench-loader")}
    | {
        (name, "--loader-settings")
        for name in ("train", "predict", "evaluate", "bench-loader", "bench-train")
    }
    | {
        ("backbones", "--json"),
        ("bench-loader", "--plot"),
        ("bench-loader", "--tune"),
        ("bench-train", "--json"),
        ("compare", "--json"),
        ("compare", "--csv"),
        ("check", "--json"),
        ("check", "--fix"),
    }
)

OPTIONS = [(name, p) for name in COMMANDS for p in parameters(name) if isinstance(p, click.Option)]


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[f"{name} {p.opts[-1]}" for name, p in OPTIONS])
def test_help_shows_every_default(name, option):
    _, text = option.get_help_record(click.Context(command(name)))
    given = re.search(r"\[default: [^;\]]+", text)
    assert (given is None) == ((name, option.opts[-1]) in WITHOUT_DEFAULT)


@pytest.mark.parametrize("name", ["train", "predict", "backbones", "bench-loader", "bench-train"])
def test_the_batch_size_that_help_shows_is_the_one_that_is_taken(name):
    (option,) = (p for p in parameters(name) if p.name == "batch_size")
    _, text = option.get_help_record(click.Context(command(name)))
    assert re.search(rf"\[default: {LoaderSettings().batch_size}[;\]]", text)
