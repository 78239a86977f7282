import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from records import RESULTS, keys

from fastffdi.bench import footprint, method, tune
from fastffdi.bench import loader as bench
from fastffdi.bench import minute as minutes
from fastffdi.bench import report as reports
from fastffdi.bench.budget import Budget
from fastffdi.cli import bench_report, bench_tune
from fastffdi.data.manifest import Manifest
from fastffdi.loaders.settings import LoaderSettings, read_settings, usable_cores

SMALL = ("--batch-size", 4, "--threads", 2, "--device", "cpu")
THOROUGH = ("--thorough", "--seconds", 0.05, "--repeats", 2, *SMALL)

#: What records say that the published ones, which are all of the thorough protocol, do not.
NEW = {
    ".settings.protocol", ".settings.memory_cap", ".settings.max_megapixels", ".settings.decoder_affinity",
    ".settings.jpeg_fancy_upsampling", ".settings.read_timeout",
    ".settings.preallocate_width_hint", ".settings.preallocate_height_hint",
    ".results[].turns", ".results[].cut", ".ceilings[].turns", ".ceilings[].cut",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Short epochs, footprints that take no time, and a folder for the records."""
    monkeypatch.chdir(tmp_path)
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

    monkeypatch.setattr(bench_report, "report", report)

    def run(*words: object) -> list[bench.Settings]:
        with pytest.raises(Enough):
            fastffdi("bench-loader", "--thorough", "--data", image_files.root, *words)
        return seen[-1]

    return run


def test_figures_are_shown_and_written_and_a_sentence_says_what_limits(
    fastffdi, image_files: Manifest, tmp_path: Path
):
    file = tmp_path / "figures.json"
    words = ("--data", image_files.root, "--loaders", "torchvision,cpu", "--amp", "off", "--json", file)
    code, out, err = fastffdi("bench-loader", *THOROUGH, *words)
    assert (code, err) == (0, f"data: 23 images of {Path(image_files.root).name}, without labels\n")
    assert "jitter without color_jitter, 2 threads" in out
    assert "Measured on" not in out
    record = json.loads(file.read_text())
    assert list(record) == [
        "machine", "settings", "results", "ceilings", "decoded", "footprint", "scaling", "verdict",
    ]  # fmt: skip
    (published,) = RESULTS.glob("*-cores-jitter.json")
    assert keys(record) - NEW == keys(json.loads(published.read_text()))
    assert keys(record) >= NEW
    assert "Of torchvision's time to the first batch: cpu 1.00." in out
    assert out.splitlines()[-2:] == [record["verdict"], f"figures: {file}"]
    assert record["settings"]["protocol"] == "thorough"
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
    words = (*words, "--to", "uint8", "--plot", file, "--explain")
    code, out, _ = fastffdi("bench-loader", *THOROUGH, *words)
    assert code == 0
    assert method.THOROUGH in out
    assert method.QUICK not in out
    assert "Measured on" in out
    assert out.index("tutorial, 1 thread\n") < out.index("tutorial, 2 threads\n")
    assert "images/s to the uint8 batch as each loader gives it for cpu" in out
    assert "From 1 to 2 threads: cpu ×" in out
    page = file.read_text(encoding="utf-8")
    assert page.count(">images/s<") == 2
    assert ">tutorial, 1 thread<" in page


def test_costs_stand_beside_speeds(fastffdi, image_files: Manifest):
    words = ("--data", image_files.root, "--pipeline", "tutorial", "--loaders", "cpu")
    _, out, _ = fastffdi("bench-loader", *THOROUGH, *words)
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
        code, _, err = fastffdi("bench-loader", *THOROUGH, "--data", tmp_path, "--loaders", loader)
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
        (("--repeats", "9"), "--repeats 9: turns are as many and as long as fit in 60 s; add --thorough"),
        (("--seconds", "0.5"), "--seconds 0.5: turns are as many and as long as fit in 60 s; add --thorough"),
        (("--threads", "2,1"), "--threads 1,2: 60 s are enough for one number only; give one, or add"),
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
    code, out, err = fastffdi("bench-loader", *THOROUGH, *words)
    assert (code, err) == (0, f"data: 23 images of {Path(image_files.root).name}, without labels\n")
    assert {"threads", "prefetch", "taken"} <= set(out.split())
    found = read_settings(file)
    assert list(found) == ["threads", "prefetch"]
    assert (found["threads"] in (1, 2), found["prefetch"] in (1, 2, 4)) == (True, True)
    remarks = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert remarks[0] == "# Written by fastffdi bench-loader --tune."
    assert " the defaults (threads 2, batch size 4, prefetch 2)" in remarks[2]
    assert remarks[-1].startswith("# Measured on ")


def test_the_loader_that_is_tuned_is_the_first_named_or_the_default(
    fastffdi, image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[str] = []
    monkeypatch.setattr(
        bench_tune, "tune", lambda defaults, values, measure: tune.Tuned({"threads": 1}, 1.0, ())
    )
    monkeypatch.setattr(bench_tune, "in_turns", lambda loader, *more: seen.append(loader))
    words = ("--data", image_files.root, "--tune", tmp_path / "loader.yaml")
    for loaders in ((), ("--loaders", "torchvision,cpu"), ("--loaders", "dali,cpu")):
        assert fastffdi("bench-loader", *THOROUGH, *words, *loaders).code == 0
    assert seen == ["cpu", "torchvision", "dali"]
    assert read_settings(tmp_path / "loader.yaml") == {"threads": 1}


@pytest.fixture
def compared(fastffdi, image_files: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """compared(found, rates): what is printed, and the remarks written, where --tune finds this."""
    file = tmp_path / "loader.yaml"

    def run(found: dict, rates: dict, taken: int) -> tuple[list[str], list[str]]:
        threads = tune.Comparison("threads", rates, taken)
        monkeypatch.setattr(bench_tune, "tune", lambda *_: tune.Tuned(found, 1.0, (threads,)))
        words = ("--data", image_files.root, "--tune", file)
        _, out, _ = fastffdi("bench-loader", *THOROUGH, *words)
        remarks = [line for line in file.read_text().splitlines() if line.startswith("#")]
        return out.splitlines(), remarks

    return run


def test_where_the_defaults_stay_the_table_says_so(compared):
    out, _ = compared({"threads": 2}, {1: (190.0, 200.0, 210.0), 2: (90.0, 100.0, 110.0)}, 1)
    rows = [line.split() for line in out]
    assert ["1", "200", "195", "…", "205", "3"] in rows
    assert ["2", "100", "95", "…", "105", "3", "taken"] in rows
    assert "Taken together, the fastest values were slower than the defaults, which stay." in out
    assert "the same as the defaults" in out[-1]


def test_values_that_were_not_tried_are_marked_and_said(compared):
    out, remarks = compared({"threads": 2}, {1: (), 2: (100.0,), 4: ()}, 2)
    assert ["1", "–", "not", "tried", "in", "time", "0"] in [line.split() for line in out]
    said = "Left out, since 60 s were not enough: threads 1, 4; --thorough tries all."
    assert said in out
    assert f"# {said}" in remarks
    assert not any("Taken together" in line for line in out)


def test_what_changes_pixels_is_said_to_stay(fastffdi, image_files: Manifest, tmp_path: Path, monkeypatch):
    name, rates = "jpeg_fancy_upsampling", {True: (10.0,), False: (20.0,)}
    found = tune.Tuned({name: True}, 1.0, (tune.Comparison(name, rates, True),))
    monkeypatch.setattr(bench_tune, "tune", lambda *_: found)
    file = tmp_path / "loader.yaml"
    _, out, _ = fastffdi("bench-loader", *THOROUGH, "--data", image_files.root, "--tune", file)
    assert ["True", "10", "10", "…", "10", "1", "taken"] in [line.split() for line in out.splitlines()]
    said = f"{name} changes pixels and stays as it is, whichever is faster; "
    assert f"# {said}if you change it by hand, do so for training and prediction alike." in file.read_text()
    assert read_settings(file) == {name: True}


def test_a_minute_is_enough_for_a_table_a_verdict_and_a_record(
    fastffdi, image_files: Manifest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(minutes, "quick_budget", lambda: Budget(8.0))
    words = ("--data", image_files.root, "--loaders", "cpu,torchvision", "--amp", "off")
    code, out, err = fastffdi("bench-loader", *SMALL, *words)
    assert (code, err) == (0, f"data: 23 images of {Path(image_files.root).name}, without labels\n")
    (file,) = Path("runs").glob("bench-loader-*.json")
    record = json.loads(file.read_text())
    assert out.splitlines()[-2:] == [record["verdict"], f"figures: {file}"]
    assert out.count("images/s") == 1
    assert "jitter, 2 threads, batches of 4" in out
    assert "--thorough also measures without it" in out
    assert method.SUBJECT not in out
    assert record["settings"]["protocol"] == "quick"
    assert [row["loader"] for row in record["results"]] == ["torchvision", "cpu"]
    assert {row["pipeline"] for row in record["results"]} == {"jitter"}
    for row in record["results"] + record["ceilings"]:
        assert row["turns"] == len(row["images_per_second_each"])
        assert row["cut"] or row["turns"] > 1


def test_a_folder_for_the_record_that_cannot_be_made_is_refused(fastffdi, image_files: Manifest):
    Path("runs").write_text("no folder")
    code, out, err = fastffdi("bench-loader", *THOROUGH, "--data", image_files.root)
    assert (code, out) == (2, "")
    assert "runs: cannot be made (File exists); name a file by --json" in err


def test_loaders_that_were_cut_are_marked(fastffdi, image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    def measured(subject: reports.Subject, minute: minutes.Minute, progress) -> reports.Report:
        assert minute.fixed_batch
        results = [
            bench.Result("tutorial", name, subject.settings[0], rates=rates, cut=cut, problem=problem)
            for name, rates, cut, problem in (
                ("torchvision", (), True, "no batch in 9 s"),
                ("cpu", (50.0,), True, None),
                ("dali", (40.0, 60.0), False, None),
            )
        ]
        sample = SimpleNamespace(median_size=(60, 60), sentence=lambda: "23 JPEGs in memory")
        return reports.conclude(subject, sample, results, (), "quick")

    monkeypatch.setattr(bench_report, "quick_report", measured)
    words = ("--data", image_files.root, "--pipeline", "tutorial", "--json", "a.json", "--explain")
    code, out, _ = fastffdi("bench-loader", *SMALL, *words)
    rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["torchvision", "–", "no", "batch", "in", "9", "s", "–", "–", "0", "*"] in rows
    assert ["cpu", "50", "50", "…", "50", "–", "–", "1", "*"] in rows
    assert ["dali", "50", "45", "…", "55", "–", "–", "2"] in rows
    assert "* cut: 60 s were not enough for more." in out
    assert "--thorough also measures" not in out
    assert method.QUICK in out
    assert "decoding alone: 23 JPEGs in memory." in out
    assert out.splitlines()[-1] == "figures: a.json"


def test_settings_are_found_in_a_minute(fastffdi, image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []

    def within(minute, loaders, loader, subject, progress):
        def measure(options, pause):
            asked.append(len(options))
            return [(10.0 * option.threads,) for option in options]

        assert (loaders, loader, subject.settings[-1].loading.batch_size) == (7, "cpu", 64)
        return measure

    monkeypatch.setattr(bench_tune, "within", within)
    words = ("--data", image_files.root, "--loader", "cpu", "--threads", 2, "--tune", "loader.yaml")
    code, out, _ = fastffdi("bench-loader", *words, "--explain")
    assert (code, asked) == (0, [2, 3, 2])
    assert method.TUNE in out
    assert read_settings(Path("loader.yaml")) == {"threads": 2, "prefetch": 1}
    assert out.splitlines()[-1].startswith("settings: loader.yaml; ")
