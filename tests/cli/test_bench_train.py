import json

import pytest
from records import RESULTS, keys

from fastffdi.bench import train_step
from fastffdi.model import compilation

#: What records say that the published one does not.
NEW = {".results[].launches_per_step"} | {
    f".settings.{name}"
    for name in (
        "memory_cap", "max_megapixels", "read_timeout", "decoder_affinity", "jpeg_fancy_upsampling",
        "preallocate_width_hint", "preallocate_height_hint", "compile",
    )
}  # fmt: skip


@pytest.fixture
def bench(fastffdi, tiny):
    """bench(...): two short turns of each kind on the tiny images."""

    def run(*words, data=tiny, pipeline=tiny / "recipe.yaml"):
        plain = ("--backbone", "test_efficientnet", "--batch-size", 4, "--device", "cpu", "--amp", "off")
        short = ("--threads", 1, "--seconds", 0.01, "--repeats", 2)
        return fastffdi("bench-train", *plain, *short, "--data", data, "--pipeline", pipeline, *words)

    return run


def test_it_says_how_fast_and_what_limits(bench, tiny):
    code, out, err = bench("--baseline")
    assert code == 0
    assert err.splitlines() == [
        f"data: 40 training images of {tiny.name}",
        "test_efficientnet starts from random weights",
        "test_efficientnet on cpu, loader cpu, float32, as asked for",
    ]
    assert "test_efficientnet · recipe.yaml · batches of 4" in out
    for word in ("launches", "× synthetic", "× tutorial", "optimiser", "tutorial: DataLoader", "Measured on"):
        assert word in out
    assert "GPU" not in out.replace("no GPU", "").replace("a GPU does", "")
    assert out.splitlines()[-1].startswith("Limit: ")


def test_with_compile_the_plain_step_stands_beside(bench, monkeypatch):
    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": "eager"})
    code, out, err = bench("--compile")
    assert code == 0
    assert err.splitlines()[-1] == "the training step is compiled first, which takes minutes"
    assert "× eager" in out
    assert "eager: synthetic without --compile" in " ".join(out.split())


def test_the_file_holds_machine_settings_and_every_turn(bench, tiny, tmp_path):
    file = tmp_path / "figures.json"
    assert bench("--json", file, "--loader", "torchvision", "--memory-cap", 2).code == 0
    record = json.loads(file.read_text())
    assert set(record) == {"machine", "settings", "results", "ratio_of_real_data_to"}
    assert record["settings"] | {"pipeline": ""} == {
        "data": f"40 training images of {tiny.name}",
        "pipeline": "",
        "backbone": "test_efficientnet",
        "batch_size": 4,
        "loader": "torchvision",
        "threads": 1,
        "prefetch": 2,
        "process": None,
        "hw_decoder_load": None,
        "memory_cap": 2.0,
        "decoder_affinity": False,
        "jpeg_fancy_upsampling": True,
        "preallocate_width_hint": None,
        "preallocate_height_hint": None,
        "max_megapixels": 178.95697,
        "read_timeout": 120.0,
        "device": "cpu",
        "precision": "off",
        "compile": False,
        "seed": 0,
        "seconds": 0.01,
        "repeats": 2,
        "baseline": False,
    }
    assert [row["name"] for row in record["results"]] == [train_step.REAL, train_step.SYNTHETIC]
    assert all(len(row["images_per_second_each"]) == 2 for row in record["results"])
    assert list(record["ratio_of_real_data_to"]) == [train_step.SYNTHETIC]


def test_the_record_has_the_keys_of_the_published_one(bench, tmp_path):
    file = tmp_path / "figures.json"
    assert bench("--json", file, "--baseline").code == 0
    (published,) = RESULTS.glob("*-bench-train.json")
    found = keys(json.loads(file.read_text()))
    assert found - NEW == keys(json.loads(published.read_text()))


def test_images_need_no_labels(bench, image_files):
    code, _, err = bench(data=image_files.root)
    assert code == 0
    assert "without labels" in err


def test_loader_settings_are_taken_from_a_file(bench, tmp_path):
    (tmp_path / "loader.yaml").write_text("prefetch: 3\nbatch_size: 32\n")
    file = tmp_path / "figures.json"
    code, out, _ = bench("--loader-settings", tmp_path / "loader.yaml", "--json", file)
    assert code == 0
    settings = json.loads(file.read_text())["settings"]
    assert (settings["threads"], settings["prefetch"], settings["batch_size"]) == (1, 3, 4)
    assert "batches of 4" in out


def test_what_is_wrong_is_said_before_anything_is_measured(bench, tmp_path):
    code, out, err = bench("--json", tmp_path / "absent" / "figures.json")
    assert (code, out) == (2, "")
    assert err.endswith("the folder does not exist; make it first\n")
    assert bench("--backbone", "resnet999")[:2] == (2, "")


def test_a_recipe_that_the_baseline_cannot_express_is_refused(bench):
    code, out, err = bench("--baseline", pipeline="forensic")
    assert (code, out) == (2, "")
    assert "fastffdi: --baseline: torchvision cannot express gaussian_noise with a range" in err
    assert err.endswith("; leave it out, or take another recipe\n")
