import json
from collections.abc import Callable
from pathlib import Path

import pytest
from records import RESULTS, keys

from fastffdi.bench import footprint, tune
from fastffdi.bench import loader as bench
from fastffdi.bench import report as reports
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.data.manifest import Manifest
from fastffdi.loaders.settings import LoaderSettings, read_settings, usable_cores

QUICK = ("--seconds", 0.05, "--repeats", 2, "--batch-size", 4, "--threads", 2, "--device", "cpu")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short epochs, and footprints that take no time."""
    monkeypatch.setattr(bench, "EPOCH", 100)
    monkeypatch.setattr(footprint, "_in_a_fresh_process", lambda *job: (0.25, 12.0))


@pytest.fixture
def settings(fastffdi, image_files: Manifest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list]:
    """settings("--threads", 2): what would be measured with."""
    seen: list[list[bench.Settings]] = []

    class Enough(Exception):
        pass

    def report(subject: reports.Subject, progress) -> None:
        seen.append(list(subject.settings))
        raise Enough

    monkeypatch.setattr(reports, "report", report)

    def run(*words: object) -> list[bench.Settings]:
        with pytest.raises(Enough):
            fastffdi("bench-loader", "--data", image_files.root, *words)
        return seen[-1]

    return run


def test_figures_are_shown_and_written_and_the_last_line_says_what_limits(
    fastffdi, image_files: Manifest, tmp_path: Path
):
    file = tmp_path / "figures.json"
    words = ("--data", image_files.root, "--loaders", "torchvision,cpu", "--amp", "off", "--json", file)
    code, out, err = fastffdi("bench-loader", *QUICK, *words)
    assert (code, err) == (0, f"data: 23 images of {Path(image_files.root).name}, without labels\n")
    for said in ("jitter without color_jitter, 2 threads", "does more arithmetic than ours", "Measured on"):
        assert said in out
    record = json.loads(file.read_text())
    assert list(record) == [
        "machine", "settings", "results", "ceilings", "decoded", "footprint", "scaling", "verdict",
    ]  # fmt: skip
    (published,) = RESULTS.glob("*-jitter.json")
    assert keys(record) == keys(json.loads(published.read_text()))
    assert "Of torchvision's time to the first batch: cpu 1.00." in out
    assert out.splitlines()[-1] == record["verdict"]
    assert record["settings"]["data"] == f"23 images of {Path(image_files.root).name}, without labels"
    assert (record["settings"]["dtype"], record["settings"]["threads"]) == ("float32", [2])
    assert [(row["pipeline"], row["loader"]) for row in record["results"]] == [
        (table, loader)
        for table in ("jitter", "jitter without color_jitter")
        for loader in ("torchvision", "cpu")
    ]
    for row in record["results"]:
        speed = row["images_per_second"]
        assert 0 < speed["q25"] <= speed["median"] <= speed["q75"]
        assert (row["device"], row["threads"], len(row["images_per_second_each"])) == ("cpu", 2, 2)
        assert (row["ratio_to_baseline"] == 1) or row["loader"] != "torchvision"
        assert list(row["ratio_to_ceilings"]) == ["file read", "JPEG decode", "memory copy"]


def test_each_number_of_threads_has_its_tables_and_charts(fastffdi, image_files: Manifest, tmp_path: Path):
    file = tmp_path / "chart.html"
    words = ("--data", image_files.root, "--pipeline", "tutorial", "--loaders", "cpu", "--threads", "2,1")
    code, out, _ = fastffdi("bench-loader", *QUICK, *words, "--to", "uint8", "--plot", file)
    assert code == 0
    assert out.index("tutorial, 1 thread\n") < out.index("tutorial, 2 threads\n")
    assert "images/s to the uint8 batch as each loader gives it for cpu" in out
    assert "From 1 to 2 threads: cpu ×" in out
    page = file.read_text(encoding="utf-8")
    assert page.count(">images/s<") == 2
    assert ">tutorial, 1 thread<" in page


def test_costs_stand_beside_speeds(fastffdi, image_files: Manifest):
    words = ("--data", image_files.root, "--pipeline", "tutorial", "--loaders", "cpu")
    _, out, _ = fastffdi("bench-loader", *QUICK, *words)
    (row,) = [line.split() for line in out.splitlines() if line.startswith(" cpu ") and "…" in line]
    assert row[-2:] == ["0.25", "12"]
    assert row[5] == "–"  # without torchvision, no ratio to it


def test_a_file_of_loader_settings_gives_way_to_options(settings, tmp_path: Path):
    file = tmp_path / "loader.yaml"
    file.write_text("threads: 3\nprefetch: 4\nbatch_size: 8\nhw_decoder_load: 0.3\n")
    (found,) = settings("--loader-settings", file)
    assert found.loading == LoaderSettings(3, 8, 4, hw_decoder_load=0.3)
    found, more = settings("--loader-settings", file, "--threads", "2, 1", "--batch-size", 16)
    assert [found.loading, more.loading] == [LoaderSettings(n, 16, 4, hw_decoder_load=0.3) for n in (1, 2)]


def test_defaults_are_the_usable_cores_and_the_normalised_batch(settings):
    (found,) = settings()
    assert (found.loading, found.to) == (LoaderSettings(usable_cores(), 64, 2), "normalised")


def test_the_recipe_says_how_images_are_decoded(settings, tmp_path: Path):
    file = tmp_path / "scaled.yaml"
    steps = "[resize: {size: [32, 32]}, normalize: {mean: imagenet, std: imagenet}]"
    file.write_text(f"train: {steps}\neval: {steps}\ndecode: {{scaled: true}}\n")
    assert settings("--pipeline", file)[0].scaled
    assert not settings("--pipeline", "tutorial")[0].scaled


def test_an_undecodable_image_stops_the_command(fastffdi, tmp_path: Path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    for loader in ("torchvision", "cpu"):
        code, _, err = fastffdi("bench-loader", *QUICK, "--data", tmp_path, "--loaders", loader)
        assert (code, "bad.jpg: cannot be decoded" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--json", "absent/figures.json"), "--json absent/figures.json: the folder does not exist"),
        (("--plot", "chart.svg"), "--plot chart.svg: is neither .png nor .html"),
        (("--pipeline", "jiter"), "did you mean 'jitter'"),
        (("--threads", "1,x"), "'1,x' is not one or more whole numbers from 1 on, with commas"),
        (("--threads", "0"), "'0' is not one or more whole numbers from 1 on, with commas"),
        (("--tune", "absent/loader.yaml"), "--tune absent/loader.yaml: the folder does not exist"),
        (("--tune", "loader.yaml", "--plot", "a.png"), "writes settings only; leave out --json and --plot"),
        (("--to", "float"), "'float' is not one of 'normalised', 'uint8'"),
        (("--loaders", "cpus"), "did you mean 'cpu'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(fastffdi, image_files: Manifest, words, problem):
    code, out, err = fastffdi("bench-loader", "--data", image_files.root, *words)
    assert (code, out) == (2, "")
    assert problem in err


def test_settings_are_found_and_written_for_the_loader(fastffdi, image_files: Manifest, tmp_path: Path):
    file = tmp_path / "loader.yaml"
    words = ("--data", image_files.root, "--pipeline", "tutorial", "--loader", "cpu", "--tune", file)
    code, out, err = fastffdi("bench-loader", *QUICK, *words)
    assert (code, err) == (0, f"data: 23 images of {Path(image_files.root).name}, without labels\n")
    assert {"threads", "prefetch", "taken"} <= set(out.split())
    found = read_settings(file)
    assert list(found) == ["threads", "prefetch"]
    assert (found["threads"] in (1, 2), found["prefetch"] in (1, 2, 4)) == (True, True)
    remarks = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert remarks[0] == "# Written by fastffdi bench-loader --tune."
    assert " the defaults (threads 2, batch size 4, prefetch 2)" in remarks[2]
    assert remarks[3].startswith("# Measured on ")


def test_the_loader_that_is_tuned_is_the_first_named_or_the_default(
    fastffdi, image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[str] = []

    def tuned(loader: str, *more: object) -> tune.Tuned:
        seen.append(loader)
        return tune.Tuned({"threads": 1}, 1.0, ())

    monkeypatch.setattr(tune, "tune", tuned)
    words = ("--data", image_files.root, "--tune", tmp_path / "loader.yaml")
    for loaders in ((), ("--loaders", "torchvision,cpu"), ("--loaders", "dali,cpu")):
        assert fastffdi("bench-loader", *QUICK, *words, *loaders).code == 0
    assert seen == ["cpu", "torchvision", "dali"]
    assert read_settings(tmp_path / "loader.yaml") == {"threads": 1}


def test_where_the_defaults_stay_the_table_says_so(
    fastffdi, image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fast, slow = Quartiles(200, 190, 210), Quartiles(100, 90, 110)
    compared = tune.Comparison("threads", {1: fast, 2: slow}, 1)
    monkeypatch.setattr(tune, "tune", lambda *_: tune.Tuned({"threads": 2}, 1.0, (compared,)))
    words = ("--data", image_files.root, "--tune", tmp_path / "loader.yaml")
    _, out, _ = fastffdi("bench-loader", *QUICK, *words)
    rows = [line.split() for line in out.splitlines()]
    assert ["1", "200", "190", "…", "210"] in rows
    assert ["2", "100", "90", "…", "110", "taken"] in rows
    assert "the fastest values were slower than the defaults, which stay." in out
    assert "the same as the defaults" in out.splitlines()[-1]
