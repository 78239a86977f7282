"""Writes benchmarks/scaling.md to standard output, from what benchmarks/scaling.py has measured.

python benchmarks/scaling_page.py FIGURES.json > benchmarks/scaling.md
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastffdi.bench import machine

#: Height and width of the images a model is given, and how many there are in a large set.
SIDE, IMAGES = 256, 500_000

#: Bytes a second of PCIe 4.0 and 5.0 with 16 lanes, one way, as specified.
PCIE = {"4.0": 31.5e9, "5.0": 63.0e9}

#: Seconds of a batch of 256 in DALI's decoder on a GPU, median, as reported in NVIDIA/DALI pull request 6366.
GPU_DECODER = 15.6e-3 / 256

#: µs that DALI's file reader takes per image, warm, on one thread: measured, see the page.
DALI_READ = 29.0

#: µs per image of batches of 256: the arrays, the external source, and planning, on the thread that trains.
DALI_FEED = (450 + 190) / 256


@dataclass(frozen=True)
class Model:
    """A model and how many images a second one GPU trains it on."""

    name: str
    rate: float


#: NVIDIA DeepLearningExamples, PyTorch EfficientNet, "Training performance: NVIDIA A100", one GPU, mixed
#: precision, at the models' own sizes of 224 and 380.
MODELS = (Model("efficientnet-b0", 2489), Model("efficientnet-b4", 331))

TEXT = """# How it scales

Made by `python benchmarks/scaling.py PHOTOS --json FILE` and `python benchmarks/scaling_page.py FILE`.

## Measured

{machine} {images} photographs of {jpeg} kB on average, the `jitter` recipe, batches of {batch}, to the
normalised batch; medians of {rounds} turns of {seconds:g} s that alternate, with quartiles.

### Rows

The `cpu` loader, a shuffled epoch over so many rows (the same images again and again):

{rows}

### Threads

As many cores as threads:

{threads}

### A million rows

{million:,} names in one folder and a label file, read in a fresh process, medians of five: {read:.2f} s to
read and check the file, {plan:.2f} s to shuffle and to plan a first batch, {first:.2f} s to the first batch
of a shuffled epoch (which shuffles again), {total:.2f} s in all. Memory at the most, beyond the imports:
{memory:.0f} MiB.

### Stages

Processor time per image on one core, µs:

{stages}

## A node with GPUs: a model, not a measurement

Nothing below was run on a GPU. Each line says what it assumes.

### Cores per GPU

| model on one A100 | images/s | cores, `cpu` loader | cores, `dali` |
| --- | ---: | ---: | ---: |
{cores}

* Images per second: NVIDIA's published figures for one A100 in mixed precision (DeepLearningExamples,
  PyTorch EfficientNet). A faster GPU needs more cores in proportion.
* `cpu` loader: the stages up to the uint8 batch ({uint8:.0f} µs: {named}), which is what it does when the
  model is on CUDA; that cores add up as two did above ({double:.2f}× for 2); and that these cores are as
  fast as this machine's. Cores that are two threads of one are worth less.
* `dali`: reading files ({dali_read:.0f} µs per image and thread, measured without a GPU) and feeding the
  pipeline ({dali_feed:.1f} µs, on the thread that trains). What `mixed` decoding leaves to the host is not
  in it: on GPUs without a JPEG engine, and for progressive files, Huffman decoding stays on the cores.

### Bytes to the GPU, per image

| loader | what crosses | bytes | images/s that PCIe 4.0 ×16 allows |
| --- | --- | ---: | ---: |
{bytes}

* PCIe 4.0 ×16 is taken at its specified {pcie4:.1f} GB/s one way; 5.0 doubles it. The torchvision
  DataLoader sends normalised float32, four times the uint8 of `cpu`.

### Decoding on the GPU

DALI's decoder was reported at 15.6 ms for 256 images (median, NVIDIA/DALI pull request 6366): at most
{decoder:,.0f} images/s, {decoder_b0:.1f} times what efficientnet-b0 trains on one A100, if nothing else
ran on the GPU. The same report has 4,700 images/s from end to end with EfficientNet's AutoAugment.

### A cache

`--cache` keeps {cached:,} bytes per image of {side} × {side}: {cache_gb:.1f} GB for {count:,} images,
of which the file cache keeps what memory is free. A GPU at efficientnet-b0's rate reads {cache_rate:.2f}
GB/s of it: an NVMe disk's sequential rate, or memory. Assumed: the recipe begins with a resize to that
size.
"""


def main() -> None:
    print(page(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")


def page(record: dict[str, Any]) -> str:
    stages, start = record["stages_us"], record["start"]
    to_uint8 = {name: cost for name, cost in stages.items() if name in UINT8}
    image, needed = SIDE * SIDE * 3, sum(to_uint8.values())
    double = next(row["ratio"] for row in record["threads"] if row["threads"] == 2)
    return TEXT.format(
        machine=machine.sentence(record["machine"], record["machine"]["cores"]),
        images=record["images"],
        jpeg=round(record["jpeg_bytes"] / 1000),
        batch=record["settings"]["batch_size"],
        rounds=record["settings"]["rounds"],
        seconds=record["settings"]["seconds"],
        rows=rates("rows", record["rows"]),
        threads=rates("threads", record["threads"]),
        million=start["rows"],
        read=start["read_seconds"],
        plan=start["shuffle_and_plan_seconds"],
        first=start["first_batch_seconds"],
        total=start["seconds"],
        memory=start["memory_mib"],
        stages=table(
            [*stages, "sum"], [[f"{cost:.0f}" for cost in [*stages.values(), sum(stages.values())]]]
        ),
        cores="\n".join(map(row_of_cores(needed, double), MODELS)),
        uint8=needed,
        named=", ".join(to_uint8),
        double=double,
        dali_read=DALI_READ,
        dali_feed=DALI_FEED,
        bytes="\n".join(
            row_of_bytes(*way)
            for way in (
                ("`dali`", "the JPEG", record["jpeg_bytes"]),
                ("`cpu`, and cached", "uint8", image),
                ("torchvision", "float32", 4 * image),
            )
        ),
        pcie4=PCIE["4.0"] / 1e9,
        decoder=1 / GPU_DECODER,
        decoder_b0=1 / GPU_DECODER / MODELS[0].rate,
        cached=image,
        side=SIDE,
        cache_gb=image * IMAGES / 1e9,
        count=IMAGES,
        cache_rate=image * MODELS[0].rate / 1e9,
    )


#: Stages of the cpu loader before the batch leaves for the GPU.
UINT8 = ("plan", "read", "decode", "resize", "flip", "window", "copy")


def row_of_cores(needed: float, double: float) -> Any:
    """Cores that keep up with a model: µs per image, stretched by what is lost when cores are added."""
    loss = 2 / double

    def row(model: Model) -> str:
        cpu = model.rate * needed * loss / 1e6
        dali = model.rate * (DALI_READ + DALI_FEED) / 1e6
        return f"| {model.name} | {model.rate:,.0f} | {cpu:.1f} | {dali:.2f} |"

    return row


def row_of_bytes(loader: str, what: str, size: float) -> str:
    return f"| {loader} | {what} | {size:,.0f} | {PCIE['4.0'] / size:,.0f} |"


def rates(name: str, rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        speed = row["images_per_second"]
        spread = f"{speed['median']:.0f} ({speed['q25']:.0f}–{speed['q75']:.0f})"
        lines.append([f"{row[name]:,}", spread, f"{row['ratio']:.3f}"])
    return table([name, "images/s", f"to {rows[0][name]:,}"], lines)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
