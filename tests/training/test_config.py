"""Configuration files: what they give, what is said of their mistakes, and that they repeat a run."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from experiments import finished, settings_of, with_mixing
from safetensors.torch import load_file

from fastffdi.errors import SettingError
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.training import config
from fastffdi.training.optimisation import Optimisation
from fastffdi.training.settings import Settings

#: A value other than the default for every setting that a file may give.
OTHERS = {
    "backbone": "test_vit",
    "pipeline": "jitter",
    "epochs": 3,
    "learning_rate": 0.25,
    "loading": LoaderSettings(3, 16, process=True, memory_cap=1.5),
    "backend": "cpu",
    "device": "cpu",
    "amp": "off",
    "pretrained": False,
    "weights": Path("w.safetensors"),
    "balance": True,
    "seed": 7,
    "cache": Path("kept"),
    "compile": True,
    "data": Path("DIR"),
    "on_corrupt": "fail",
    "max_corrupt": 0.5,
    "save_every": 500,
    "follow_symlinks": True,
    "imagenet1k_only": True,
    "sync_bn": True,
    "limit": 12,
    "patience": 3,
    "time_limit": "2h",
    "holdout": "generator=gan",
    "optimisation": Optimisation("sgd", clip_gradient=1.0, class_weights="balanced", tune="norm", ema=0.99),
}
LABELS = {name: Path(name) for name in ("train_labels", "train_images", "val_labels", "val_images")}


@pytest.fixture
def file(tmp_path):
    """file(text): a file of settings."""

    def written(text):
        (tmp_path / "own.yaml").write_text(text)
        return tmp_path / "own.yaml"

    return written


@pytest.fixture
def mistakes(file):
    """mistakes(text): what is said of a file, without its name."""

    def said(text):
        path = file(text)
        with pytest.raises(SettingError) as caught:
            config.read(path)
        lines = str(caught.value).splitlines()
        assert lines[0].startswith(f"{path}: ")
        return [line.removeprefix(f"{path}: ") for line in lines]

    return said


def test_every_setting_has_another_value_here():
    names = {f.name for f in fields(Settings)} - set(config.LEFT_OUT)
    assert {*OTHERS, *LABELS} == names
    assert all(getattr(Settings(data="D"), name) != value for name, value in OTHERS.items())


@pytest.mark.parametrize("given", [{}, OTHERS, LABELS], ids=["defaults", "others", "label files"])
def test_what_is_written_is_read_again(given, tmp_path):
    settings = Settings(**given, output=tmp_path)
    config.keep(settings)
    read = config.build(config.read(tmp_path / "config.yaml"))
    expected = {**vars(settings), "save_every": str(settings.save_every)}
    assert vars(replace(read, output=tmp_path)) == expected


def test_a_file_gives_what_it_names_and_the_rest_is_as_ever(file):
    given = config.read(file("epochs: 3\nlearning_rate: 1e-2\namp: off\nloading: {batch_size: 16}\n"))
    assert given == {"epochs": 3, "learning_rate": 0.01, "amp": "off", "loading": {"batch_size": 16}}
    settings = config.build(given)
    assert (settings.epochs, settings.seed) == (3, 0)
    assert settings.loading == LoaderSettings(batch_size=16)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_gives_nothing(file, text):
    assert config.read(file(text)) == {}


def test_all_mistakes_are_told_together_in_the_order_of_the_lines(mistakes):
    assert mistakes(
        "epoch: 3\nlearning_rate: fast\nloading:\n  threads: 0\n  prefech: 2\nseed: -1\nseed: 2\n"
        "max_corrupt: 2\nsave_every: often\n"
    ) == [
        "line 1: unknown key 'epoch', did you mean 'epochs'?",
        "line 2: learning_rate: 'fast' is not a number",
        "line 4: loading.threads: 0 is not a whole number from 1 on",
        "line 5: unknown key 'loading.prefech', did you mean 'prefetch'?",
        "line 6: seed: -1 is not a whole number from 0 on",
        "line 7: seed: given twice, first in line 6",
        "line 8: max_corrupt: 2.0 is not a number from 0 to 1",
        "line 9: --save-every often: give a time such as 10m, or a number of updates such as 500",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("output: runs/a\n", "line 1: unknown key 'output'; give it on the command line, as --output"),
        ("lr: 0.1\n", "line 1: unknown key 'lr', did you mean 'learning_rate'?"),
        ("loader: cpu\n", "line 1: unknown key 'loader', did you mean 'backend'?"),
        ("batch_size: 8\n", "line 1: unknown key 'batch_size'; write it below loading:"),
        ("- epochs\n", "line 1: write lines such as backbone: VALUE"),
        ("seed: 1\nloading: 4\n", "line 2: loading: write lines such as threads: VALUE"),
        (
            "loading: {preallocate_width_hint: 9}\n",
            "line 1: loading.preallocate_width_hint, preallocate_height_hint: give both, or neither",
        ),
        (
            "data: DIR\n\ntrain_labels: a.csv\n",
            "line 1: --data: give either --data, or all of --train-labels, --train-images, --val-labels and "
            "--val-images",
        ),
        ("epochs: 3\nseed: [\n", "is not YAML: line 3, column 1: expected the node content, but found "),
    ],
)
def test_a_mistake_is_told_with_its_line(mistakes, text, line):
    first = mistakes(text)[0]
    assert first.startswith(line)


def test_of_many_mistakes_ten_are_told(mistakes):
    lines = mistakes("".join(f"nonsense{k}: 1\n" for k in range(12)))
    assert len(lines) == 11
    assert lines[-1] == "and 2 more mistakes"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingError, match=r"absent.yaml: no such file; each run writes one, config.yaml in"):
        config.read(tmp_path / "absent.yaml")


def test_a_run_writes_its_settings_which_repeat_it_to_the_bit(tiny, dataset, tmp_path, one_thread):
    settings = replace(with_mixing(settings_of(tiny, tmp_path / "run"), tmp_path), data=tiny, epochs=2)
    finished(settings, dataset)
    again = replace(config.build(config.read(tmp_path / "run" / "config.yaml")), output=tmp_path / "again")
    finished(again, again.dataset())
    for name in ("best", "last"):
        first, second = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("run", "again"))
        assert first.keys() == second.keys()
        assert all(first[key].equal(second[key]) for key in first)
    texts = [(tmp_path / run / "config.yaml").read_text() for run in ("run", "again")]
    assert texts[0] == texts[1]


def test_the_settings_of_an_older_run_go_with_it_and_a_resumption_leaves_them(settings, dataset):
    path = settings.output / "config.yaml"
    finished(replace(settings, epochs=1), dataset)
    text = path.read_text()
    finished(replace(settings, epochs=1, resume="auto", save_every="1h"), dataset)
    assert path.read_text() == text
    finished(replace(settings, epochs=1, overwrite=True, save_every="1h"), dataset)
    assert "save_every: 1h" in path.read_text()


def test_images_that_a_program_gave_are_named_as_missing(settings, dataset):
    settings.output.mkdir()
    config.keep(replace(settings, data=dataset))
    text = (settings.output / "config.yaml").read_text()
    assert "# Its images were given by a program, and are not in this file." in text
    assert "data" not in config.read(settings.output / "config.yaml")
