"""What bench-loader shows of its figures: tables, what they mean, and a chart's parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fastffdi.bench.ceilings import SHORTER
from fastffdi.bench.footprint import REPEATS, SECONDS
from fastffdi.bench.loader import BASELINE
from fastffdi.bench.plot import Panel
from fastffdi.bench.stopwatch import Quartiles

if TYPE_CHECKING:
    from rich.table import Table

    from fastffdi.bench.footprint import Footprint
    from fastffdi.bench.loader import Result
    from fastffdi.bench.report import Report

_TO = {
    "normalised": "images/s to the normalised {dtype} batch on {device}",
    "uint8": "images/s to the uint8 batch as each loader gives it for {device}, normalising and what else "
    "the recipe has later not counted",
}
_METHOD = (
    ", batches of {batch_size}; median and quartiles of {repeats} turns of at least {seconds:g} s each, "
    "loaders and ceilings taking turns, a ceiling's {shorter} times shorter, warm-up not counted; ratio and "
    "shares: medians of each round's. CPU s: user and system time, children's included, per 1000 images."
)
_CEILINGS = (
    "Ceilings, on the same cores: reading the files (from the page cache where that holds them), decoding "
    "with bare simplejpeg calls {decoded}, copying such a batch in memory{cuda}."
)
_CUDA = ", DALI's decoder with nothing behind it, copying a uint8 batch from page-locked memory to the GPU"
_FOOTPRINT = (
    "First s: from building the loader to its first normalised batch, imports done; MiB: the "
    "most that the process and its workers held (PSS) in that time and {watched:g} s more, above imports; "
    "medians of {processes} fresh processes each."
)
_JITTER = (
    "torchvision's color_jitter does more arithmetic than ours (hue by way of HSV, a pass over the image "
    "for each part, against one matrix); the second table compares without it."
)


def sentences(report: Report) -> Iterator[str]:
    """How the figures were taken."""
    settings = report.subject.settings[0]
    said = {**settings.to_data(), "shorter": SHORTER, "watched": SECONDS, "processes": REPEATS}
    yield (_TO[settings.to] + _METHOD).format_map(said)
    cuda = _CUDA if settings.device.type == "cuda" else ""
    yield _CEILINGS.format(decoded=report.sample.sentence(), cuda=cuda)
    yield _FOOTPRINT.format_map(said) + _sooner(report)
    if any(result.pipeline != report.subject.pipeline for result in report.results):
        yield _JITTER
    if report.scaling:
        threads = [settings.threads for settings in report.subject.settings]
        times = ", ".join(f"{name} ×{ratio:.2f}" for name, ratio in report.scaling.items())
        yield f"From {min(threads)} to {max(threads)} threads: {times}."


def _sooner(report: Report) -> str:
    """The ratios of the times to the first batch, with the most threads."""
    threads = report.subject.settings[-1].threads
    found = [cost for cost in report.footprints if cost.threads == threads and cost.loader != BASELINE]
    ratios = [(cost.loader, cost.first_batch_ratio) for cost in found if cost.first_batch_ratio is not None]
    listed = ", ".join(f"{loader} {ratio:.2f}" for loader, ratio in ratios)
    return f" Of torchvision's time to the first batch: {listed}." if listed else ""


def tables(report: Report) -> Iterator[Table]:
    """For each number of threads and recipe the speeds, and the shares of the ceilings."""
    for title, results in _groups(report):
        yield _speeds(title, results, report.footprints)
        if any(result.shares for result in results):
            yield _shares(results)


def panels(report: Report) -> list[Panel]:
    """The same as charts."""
    return [
        Panel(title, _medians(results, ceiling=False), _middles(results))
        for title, results in _groups(report)
    ]


def _groups(report: Report) -> Iterator[tuple[str, list[Result]]]:
    keys = dict.fromkeys((result.settings.threads, result.pipeline) for result in report.results)
    for threads, pipeline in keys:
        title = f"{pipeline}, {threads} thread{'s' * (threads != 1)}"
        key = threads, pipeline
        yield title, [r for r in report.results if (r.settings.threads, r.pipeline) == key]


def _medians(results: Sequence[Result], ceiling: bool) -> dict[str, Quartiles]:
    return {r.name: Quartiles.of(r.rates) for r in results if r.rates and r.ceiling == ceiling}


def _middles(results: Sequence[Result]) -> dict[str, float]:
    return {name: speed.median for name, speed in _medians(results, ceiling=True).items()}


def _speeds(title: str, results: Sequence[Result], footprints: Sequence[Footprint]) -> Table:
    key = results[0].pipeline, results[0].settings.threads
    costs = {cost.loader: cost for cost in footprints if (cost.pipeline, cost.threads) == key}
    headings = ["images/s", "quartiles", "× torchvision", "CPU s", *(["first s", "MiB"] if costs else [])]
    table = _table(title, "loader", headings)
    for ceiling in (False, True):
        for result in results:
            if result.ceiling == ceiling:
                table.add_row(result.name, *_speed(result), *_cost(costs.get(result.name)))
        table.add_section()
    return table


def _speed(result: Result) -> Iterator[str]:
    if result.problem is not None:
        yield from ("–", result.problem)
    else:
        speed = Quartiles.of(result.rates)
        yield from (f"{speed.median:.0f}", f"{speed.q25:.0f} … {speed.q75:.0f}")
    yield "" if result.ceiling else _number(result.ratio, 2)
    yield _middle(result.cpu_seconds_per_1000, 2)


def _cost(cost: Footprint | None) -> tuple[str, ...]:
    if cost is None:
        return ()
    return _middle(cost.first_batch_seconds, 2), _middle(cost.memory_mib, 0)


def _shares(results: Sequence[Result]) -> Table:
    ceilings = [result.name for result in results if result.ceiling]
    table = _table("", "share of", ceilings)
    for result in results:
        if not result.ceiling:
            table.add_row(result.name, *(_number(result.shares.get(name), 3) for name in ceilings))
    return table


def _table(title: str, first: str, headings: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.add_column(first)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _middle(values: Sequence[float], digits: int) -> str:
    return _number(Quartiles.of(values).median if values else None, digits)


def _number(value: Any, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
