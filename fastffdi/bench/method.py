"""How bench-loader measures, in words: what --explain prints, and what benchmarks/README.md has."""

from __future__ import annotations

SUBJECT = (
    "`fastffdi bench-loader` shows every loader the same images by the same recipe, with as many threads or "
    "worker processes as cores, to the normalised batch on the device, in the precision the trainer would "
    "take. The process is held to that many cores. A figure is the median of the turns, with quartiles; a "
    "ratio is the median of the ratios of each round, so that a machine that slows down slows both sides. On "
    "CUDA a batch counts when its event has completed. `--to uint8` counts batches as a loader gives them; "
    "torchvision has none."
)

QUICK = (
    "Without `--thorough` it takes at most 60 seconds, start and end of the program included. Each loader "
    "runs in a process of its own, which is stopped while others have their turns: it makes no batches "
    "ahead, and all of a turn counts. Its first batches, one per thread, are not counted; from them is "
    "learnt what a turn costs. Then all take turns, as many as fit in the time, at most five, and as long as "
    "five turns of all or fewer can be, at most three seconds. Where a second turn of all does not fit, the "
    "loaders with the costliest turns are cut to one. A turn that takes half as long again as it should is "
    "ended with the next batch, one that takes twice as long at once; what was counted until then stands, as "
    "does what was counted of a loader's start where there is no time for a turn. Loaders that were cut are "
    "marked. Time to the first batch and memory (most PSS of the process and its workers, above imports, at "
    "the ends of turns) are those of that one process. Batches are halved, down to four images, until one "
    "has 100 megapixels or less, unless their size is given; 20,000 images are drawn where there are more. A "
    "recipe with `color_jitter` is measured as it is, and only with `--thorough` without it as well."
)

THOROUGH = (
    "With `--thorough` loaders take turns in one process, five of at least three seconds unless `--repeats` "
    "and `--seconds` say otherwise, as long as that takes; batches that were ready when a turn began are not "
    "counted, nor is the first turn of each. Time to the first batch and memory (most PSS of the process and "
    "its workers, above imports, over the first batch and two seconds more) are medians of three fresh "
    "processes. All published figures of `bench-loader` are measured so."
)

CEILINGS = (
    "Ceilings take turns with the loaders on the same cores, each turn a quarter as long: reading the files "
    "(from the page cache where that holds them), plain simplejpeg calls on JPEGs in memory, copying one "
    "batch; on CUDA also DALI's decoder with nothing behind it and the copy to the GPU. CPU seconds are user "
    "and system time of the process and its children, per 1000 images. Time to the first batch is from "
    "building the loader, imports done."
)

CACHED = (
    "`cached` is the `cpu` loader with a full cache in memory; each image's file is still asked for its "
    "length and modification time."
)

BASELINE = (
    "The baseline is the stock `DataLoader` with Pillow and torchvision transforms, as a tutorial writes it "
    "(`loaders/torchvision.py`). Its colour jitter does more arithmetic than ours (hue by way of HSV, one "
    "pass for each part, against one matrix), so every published recipe with jitter is measured without it "
    "as well."
)

TUNE = (
    "`--tune` finds one setting after the other, values taking turns; the smallest value within 3 % of the "
    "fastest is taken, and for prefetch the consumer takes as long as the loader. At the end what was found "
    "and the defaults take turns; what is slower than the defaults is not kept. Without `--thorough` this "
    "takes at most 60 seconds as well: settings get a part of the time for each of their values, and a value "
    "without a batch in its part is left out, and marked."
)

#: All of it, in the order of benchmarks/README.md.
PARAGRAPHS = (SUBJECT, QUICK, THOROUGH, CEILINGS, CACHED, BASELINE, TUNE)


def explained(protocol: str, tuning: bool = False) -> tuple[str, ...]:
    """The paragraphs about one protocol, "quick" or "thorough", of the measurement or of the tuning."""
    protocols = QUICK if protocol == "quick" else THOROUGH
    return (SUBJECT, protocols, TUNE) if tuning else (SUBJECT, protocols, CEILINGS, CACHED, BASELINE)
