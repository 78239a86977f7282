import pytest

from fastffdi.bench import trial, tune
from fastffdi.loaders.settings import read_settings


@pytest.fixture(autouse=True)
def _little(monkeypatch):
    """A small machine and short epochs."""
    monkeypatch.setattr(trial, "EPOCH", 100)
    monkeypatch.setattr(tune, "BATCH_SIZES", (4, 8))
    monkeypatch.setattr(tune, "BATCH_SIZE", 8)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "loader.yaml"


@pytest.fixture
def tuning(fastffdi, tiny, file):
    """tuning(...): very short turns on the tiny images, to `file`."""

    def run(*words):
        data = ("--data", tiny, "--pipeline", tiny / "recipe.yaml", "--backbone", "test_efficientnet")
        short = ("--threads", 2, "--seconds", 0.001, "--repeats", 3, "--device", "cpu", "--amp", "off")
        return fastffdi("tune", *data, *short, "-o", file, *words)

    return run


def test_it_shows_what_was_tried_and_writes_what_was_found(tuning, tiny, file):
    code, out, err = tuning("--memory-cap", 2)
    assert code == 0
    assert err.splitlines() == [
        f"data: 40 training images of {tiny.name}",
        "loader cpu on cpu, memory cap 2.0 GiB",
    ]
    for word in (
        "threads, with batch size",
        "batch size, with threads",
        "prefetch, with",
        "taken",
        "Measured on",
    ):
        assert word in out
    found = read_settings(file)
    assert found.threads in (1, 2)
    assert found.batch_size in (4, 8)
    assert found.prefetch in (1, 2, 4)
    assert found.hw_decoder_load is None
    assert out.splitlines()[-2:] == [
        f"settings: {file}",
        f"next: fastffdi train --loader-settings {file} --data {tiny} --pipeline {tiny / 'recipe.yaml'} "
        "--backbone test_efficientnet",
    ]


def test_the_file_says_where_it_comes_from(tuning, tiny, file):
    out = tuning("--batch-size", 8).out.splitlines()
    remarks = [line[2:] for line in file.read_text().splitlines() if line.startswith("#")]
    assert remarks[0] == "The loader's settings for this machine, found by `fastffdi tune`."
    assert f"40 training images of {tiny.name}; recipe {tiny / 'recipe.yaml'}; loader cpu on cpu." in remarks
    assert remarks[-1].startswith("Measured on ")
    assert "images/s" in remarks[-2]
    assert set(remarks[-2:]) <= set(out)


def test_a_batch_size_that_is_given_is_kept(tuning, file):
    code, out, _ = tuning("--batch-size", 6, "--loader", "torchvision", "--threads", 1)
    assert code == 0
    assert read_settings(file).to_data().keys() == {"threads", "batch_size"}
    assert read_settings(file).batch_size == 6
    assert "also changes what is learnt" not in out
    assert out.splitlines()[-1].endswith("--loader torchvision")


def test_training_takes_the_file(tuning, fastffdi, tiny, file, tmp_path):
    tuning("--batch-size", 8)
    words = ("--data", tiny, "--pipeline", tiny / "recipe.yaml", "--epochs", 1, "--output", tmp_path / "run")
    model = ("--backbone", "test_efficientnet", "--no-pretrained", "--amp", "off")
    code, _, err = fastffdi("train", *words, *model, "--loader-settings", file)
    assert code == 0
    assert "batch size 8" in err


def test_a_cap_below_any_setting_is_refused(tuning, file):
    code, out, err = tuning("--memory-cap", 1e-6)
    assert (code, out) == (2, "")
    assert "no settings are possible" in err
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(tuning, tmp_path):
    code, out, err = tuning("--output", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"fastffdi: --output {tmp_path}: is a folder")
    code, out, err = tuning("--output", tmp_path / "absent" / "loader.yaml")
    assert (code, out) == (2, "")
    assert "make it first" in err
