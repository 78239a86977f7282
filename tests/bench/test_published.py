"""The figures in README.md and benchmarks/README.md are those of the records, rounded."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BENCHMARKS = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
LOADERS = "jitter", "tutorial", "tutorial_strong", "randaugment", "trivial", "large-scaled"


def record(name):
    (file,) = (ROOT / "benchmarks" / "results").glob(f"*-cores-{name}.json")
    return json.loads(file.read_text(encoding="utf-8"))


def numbers(cell):
    return re.findall(r"\d[\d,]*(?:\.\d+)?", cell)


def agrees(published, recorded):
    """Whether the text is the number, rounded as the text is; the record is rounded as well."""
    half = 0.5 * 10.0 ** -len(published.partition(".")[2])
    return abs(float(published.replace(",", "")) - recorded) <= half * 1.001


def cells(line):
    return [cell.strip(" *") for cell in line.strip("|").split("|")]


def rows(text, header):
    """The cells of the rows of the table whose first line begins so."""
    _, _, rest = text.partition(f"\n| {header}")
    table = rest.partition("\n\n")[0].splitlines()[2:]
    assert table, header
    return [cells(line) for line in table]


def measured(part="results"):
    """What was measured of the loaders, by recipe and loader."""
    found = (entry for name in LOADERS for entry in record(name)[part])
    return {(entry["pipeline"], entry["loader"]): entry for entry in found}


def spread(entry):
    return [entry["images_per_second"][name] for name in ("median", "q25", "q75")]


def check(published, recorded, where):
    assert len(published) == len(recorded), where
    assert all(agrees(*pair) for pair in zip(published, recorded, strict=True)), (where, published, recorded)


def test_the_table_of_loaders():
    results, recipe = measured(), ""
    for name, loader, *figures in rows(BENCHMARKS, "recipe | loader | images/s | × torch"):
        recipe = (
            f"{recipe} {name.replace('the same ', '')}" if name.startswith("the same") else name or recipe
        )
        key = recipe.replace("`", ""), loader.replace("`", "").partition(" ")[0]
        found = results[key]
        ratios = found["ratio_to_baseline"], found["ratio_to_ceilings"]["JPEG decode"]
        recorded = [*spread(found), *ratios, found["cpu_seconds_per_1000_images"]["median"]]
        check([number for cell in figures for number in numbers(cell)], recorded, key)


def test_the_times_to_the_first_batch():
    found = measured("footprint")
    recipes = {"camera images": "benchmarks/large.yaml"}
    ratios = {
        recipe: entry["first_batch_ratio_to_baseline"]
        for (recipe, loader), entry in found.items()
        if loader == "cpu"
    }
    (line,) = (line for line in BENCHMARKS.splitlines() if line.startswith("| time to first batch"))
    published = re.findall(r"([\d.]+)(?:: missed)?\*{0,2} \(`?([\w ]+)`?\)", line)
    assert {recipes.get(name, name) for _, name in published} == ratios.keys()
    for number, name in published:
        check([number], [ratios[recipes.get(name, name)]], name)
    lowest, highest = re.findall(r"first batch takes ([\d.]+) to ([\d.]+) of", README)[0]
    check([lowest, highest], [min(ratios.values()), max(ratios.values())], "README.md")


def test_the_results_on_the_first_page():
    results = measured()
    recipes = {
        "the same from a full cache": ("jitter", "cached"),
        "the same without colour jitter": ("jitter without color_jitter", "cpu"),
        "camera images": ("benchmarks/large.yaml", "cpu"),
    }
    for name, *figures in rows(README, "recipe | torchvision | `cpu`"):
        known = [key for start, key in recipes.items() if name.startswith(start)]
        recipe, loader = known[0] if known else (re.findall(r"`(\w+)`", name)[0], "cpu")
        found, stock = results[recipe, loader], results[recipe, "torchvision"]
        recorded = [spread(stock)[0], spread(found)[0], found["ratio_to_baseline"]]
        check([number for cell in figures for number in numbers(cell)], recorded, name)


def test_how_it_scales():
    found = record("scaling")
    for published, row in zip(rows(BENCHMARKS, "rows | images/s"), found["rows"], strict=True):
        recorded = [row["rows"], *spread(row), row["ratio"]]
        check([number for cell in published for number in numbers(cell)], recorded, row["rows"])
    stages = re.search(r"median of five passes: (.+?)\.\n", BENCHMARKS, re.DOTALL)
    us = found["stages_us"]
    order = ("read", "decode", "resize", "matrix", "copy", "normalise", "plan")
    check(numbers(stages[1]), [*(us[name] for name in order), sum(us.values())], "stages")
    threads = re.search(r"as many cores: (.+?) images/s", BENCHMARKS)
    one, two = found["threads"]
    check(numbers(threads[1]), [two["ratio"], spread(one)[0], spread(two)[0]], "threads")


def test_training():
    found = record("bench-train")
    real, synthetic, tutorial = found["results"]
    for published, entry in zip(
        rows(BENCHMARKS, "efficientnet_b0, batches"), (real, synthetic, tutorial), strict=True
    ):
        check(numbers(published[1]), spread(entry), published[0])
        times = [entry["step_ms"]["forward"], entry["step_ms"]["backward"]]
        check(numbers(f"{published[4]} {published[5]}"), times, published[0])
    first = rows(BENCHMARKS, "efficientnet_b0, batches")[0]
    check(first[2:4], list(found["ratio_of_real_data_to"].values()), first[0])


def test_training_with_amx():
    found = record("train-resnet18")
    table = rows(BENCHMARKS, "resnet18, batches of 32, AMX")
    for published, entry in zip(table, found["results"], strict=True):
        check(numbers(published[1]), spread(entry), published[0])
    check(table[0][2:4], list(found["ratio_of_real_data_to"].values()), table[0])


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_b0"])
def test_scoring_beside_the_tutorial(backbone):
    found = record(f"prediction-{backbone}")
    table = rows(BENCHMARKS, f"scoring, {backbone}")
    for published, recorded in zip(table, found["results"].values(), strict=True):
        figures = [*spread(recorded), recorded["times_tutorial"]]
        check(numbers(" ".join(published[1:3])), figures, published[0])
    assert float(numbers(table[-1][3])[0]) == pytest.approx(found["ten_views_cost"], abs=0.051)


def test_what_intervals_cost():
    words = re.search(r"2,000 resamples of 100,000 scores[^.]*? take ([\d.]+) s", BENCHMARKS)
    seconds = [turn["seconds"] for turn in record("intervals")["turns"]]
    check([words[1]], [np.median(seconds)], "intervals")


def test_views():
    table = rows(BENCHMARKS, "`--views`")
    for published, recorded in zip(table, record("views")["results"], strict=True):
        check(numbers(published[1]), [recorded["auc"]["mean"]], published[0])
        check(numbers(published[-1]), [recorded["cost"]], published[0])


def test_shortcuts():
    found = record("bias")
    table = rows(BENCHMARKS, "trained and judged on")
    for published, name in zip(table, ("planted", "aligned"), strict=True):
        shifts = [one for one in found[name]["bias"] if one["parameter"] == "quality 75"]
        (real,) = (one for one in shifts if one["class"] == "real")
        ends = (real["interval"][end] for end in ("low", "high"))
        figures = [found[name]["auc"]["value"], real["shift"], *ends, abs(real["auc_change"])]
        check(numbers(" ".join(published[1:4])), figures, name)
        assert ("JPEG quality" in published[4]) == found[name]["factors"][0]["found"]


def test_saving_and_several_processes():
    cost = record("saving")["results"]["cost"]
    words = re.search(r"adds ([\d.]+) % of an update.*?from −([\d.]+) %\s+to ([\d.]+) %", BENCHMARKS, re.S)
    assert (100 * cost["median"], -100 * cost["q25"], 100 * cost["q75"]) == pytest.approx(
        [float(word) for word in words.groups()], abs=0.51
    )
    speeds = re.search(r"at ([\d.]+) images/s, one process of two threads at ([\d.]+): ([\d.]+)", BENCHMARKS)
    found = record("distributed")["results"]
    check(list(speeds.groups()), [found[name]["median"] for name in ("two", "one", "ratio")], "processes")


def test_what_is_learnt_beside_the_tutorial():
    found = record("learning")["summary"].values()
    table = rows(BENCHMARKS, "tf_efficientnet_lite0, AUC after epoch")
    for (name, *figures), recorded in zip(table, found, strict=True):
        aucs = [one[part] for one in recorded["auc"] for part in ("mean", "least", "most")]
        check(numbers(" ".join(figures)), aucs, name)


PEERS = [
    (r"([\d.]+)× the stock DataLoader with a resize", "resize", "torchvision DataLoader", "fastffdi cpu"),
    (r"([\d.]+)× with random crops, [\d.]+× timm", "rrc", "torchvision DataLoader", "fastffdi cpu"),
    (r"([\d.]+)× timm's loader", "resize", "timm create_loader", "fastffdi cpu"),
    (r"([\d.]+)× and [\d.]+× TorchCodec", "resize", "TorchCodec", "fastffdi cpu"),
    (r"[\d.]+× and ([\d.]+)× TorchCodec", "rrc", "TorchCodec", "fastffdi cpu"),
    (r"([\d.]+)× SPDL", "resize", "SPDL", "fastffdi cpu"),
    (r"([\d.]+)× albumentations", "resize", "albumentations, OpenCV", "fastffdi cpu"),
    (r"([\d.]+)× DALI's example on the CPU with", "resize", "DALI example", "fastffdi cpu"),
    (r"CPU with a resize, ([\d.]+)× with random crops", "rrc", "DALI example", "fastffdi cpu"),
    (r"is ([\d.]+)× that example", "resize", "DALI example", "fastffdi dali"),
    (r"resize and ([\d.]+)× with random crops\. `cpu`", "rrc", "DALI example", "fastffdi dali"),
    (r"([\d.]+)× FFCV with a resize", "resize", "FFCV", "fastffdi cpu"),
    (r"resize and ([\d.]+)× with random crops, although packing", "rrc", "FFCV", "fastffdi cpu"),
    (r"same way it reaches ([\d.]+)×", "rrc", "FFCV", "fastffdi cpu, FFCV's JPEGs"),
    (r"JPEGs \(([\d.]+)×\)", "uint8", "FFCV", "fastffdi cpu"),
    (r"`cached` ([\d.]+) times as many", "uint8", "FFCV", "fastffdi cpu, cached"),
]


@pytest.mark.parametrize(("pattern", "recipe", "peer", "ours"), PEERS)
def test_wins_and_losses_beside_other_loaders(pattern, recipe, peer, ours):
    text = " ".join(BENCHMARKS.split())
    (published,) = re.findall(pattern, text)
    entries = {(entry["recipe"], entry["loader"]): entry for entry in record("peers")["results"]}
    check([published], [entries[recipe, peer]["times_as_fast"][ours]], (recipe, peer))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (r"With random crops `cpu` is ([\d.]+)× what it was \((\d+) and (\d+)", "crops-before"),
        (r"decodes whole images, ([\d.]+)× \((\d+) and (\d+)\)", "jitter-before"),
    ],
)
def test_what_was_gained_since_another_commit(pattern, name):
    (published,) = re.findall(pattern, " ".join(BENCHMARKS.split()))
    found = record(name)
    check(published, [found["ratio"], *(spread(rates)[0] for rates in found["rates"].values())], name)


def test_what_decoding_costs_by_format():
    found = {(row["format"], row["decoder"]): row for row in record("formats")["results"]}
    for name, pillow, ours, opencv in rows(BENCHMARKS, "format | Pillow | ours"):
        form = name.split(", q")[0]
        recorded = [found[form, "Pillow"]["ms"]["median"]]
        for decoder in ("fastffdi", "OpenCV"):
            recorded += [found[form, decoder]["ms"]["median"], found[form, decoder]["times_pillow"]]
        check(numbers(f"{pillow} {ours} {opencv}"), recorded, name)
    assert all(row["same"] == row["images"] for row in found.values())


def test_a_machine_without_avx_512():
    (text,) = re.findall(r"The same later, on a machine.*?\(1,287\)", BENCHMARKS, re.DOTALL)
    plain, uint8 = record("no-avx512-jitter"), record("no-avx512-tutorial-uint8")
    by = {(row["pipeline"], row["loader"]): row for row in plain["results"]}
    stock, cpu = by["jitter", "torchvision"], by["jitter", "cpu"]
    bare_stock, bare = (by["jitter without color_jitter", name] for name in ("torchvision", "cpu"))
    raw, decoding = uint8["results"][0], uint8["ceilings"][1]
    recorded = [
        *spread(stock),
        *spread(cpu),
        cpu["ratio_to_baseline"],
        cpu["ratio_to_ceilings"]["JPEG decode"],
    ]
    recorded += [spread(bare_stock)[0], spread(bare)[0], bare["ratio_to_baseline"]]
    recorded += [
        bare["ratio_to_ceilings"]["JPEG decode"],
        *spread(raw),
        raw["ratio_to_ceilings"]["JPEG decode"],
    ]
    published = numbers(text.partition("torchvision ")[2].replace("uint8", ""))
    check(published, [*recorded, spread(decoding)[0]], "no AVX-512")
