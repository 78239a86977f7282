"""What the benchmarks show: tables, and sentences about figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fastffdi.bench.footprint import Footprint
from fastffdi.bench.loader import BASELINE, Result
from fastffdi.bench.loader import tables as recipes
from fastffdi.bench.plot import Panel
from fastffdi.bench.report import Report
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.cli.terminal import Terminal

_TO = {
    "normalised": "images/s to the normalised {dtype} batch on {device}",
    "uint8": "images/s to the uint8 batch as each loader gives it for {device}, without normalising and what "
    "else the recipe has later",
}
_HOW = ", batches of {batch_size}; {repeats} turns of {seconds:g} s at the most; decoding alone: {decoded}."


def table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table of names in the first column and numbers in the others."""
    made = Table(
        title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for k, heading in enumerate(headings):
        made.add_column(heading, justify="right" if k else "left")
    for row in rows:
        made.add_row(*row)
    return made


def show(*parts: Table | str) -> None:
    """Print tables and sentences."""
    screen = Terminal()
    for part in parts:
        screen.print(part)


def speed(found: Quartiles, digits: int = 0) -> tuple[str, str]:
    """Median, and quartiles."""
    return f"{found.median:.{digits}f}", f"{found.q25:.{digits}f} … {found.q75:.{digits}f}"


def sentence(report: Report) -> str:
    """What a report's figures count, with which settings."""
    settings = report.subject.settings[0]
    values = {**settings.to_data(), "decoded": report.sample.sentence()}
    return (_TO[settings.to] + _HOW).format_map(values)


def ratios(report: Report) -> Iterator[str]:
    """What of a thorough report stands in no table."""
    yield from _first_batch_ratios(report)
    if report.scaling:
        threads = [settings.threads for settings in report.subject.settings]
        times = ", ".join(f"{name} ×{ratio:.2f}" for name, ratio in report.scaling.items())
        yield f"From {min(threads)} to {max(threads)} threads: {times}."


def _first_batch_ratios(report: Report) -> Iterator[str]:
    """The ratios of the times to the first batch, with the most threads."""
    threads = report.subject.settings[-1].threads
    listed = ", ".join(
        f"{cost.loader} {cost.first_batch_ratio:.2f}"
        for cost in report.footprints
        if cost.threads == threads and cost.loader != BASELINE and cost.first_batch_ratio is not None
    )
    if listed:
        yield f"Of torchvision's time to the first batch: {listed}."


def tables(report: Report) -> Iterator[Table]:
    """For each number of threads and recipe the speeds, and the ratios to the ceilings."""
    for title, results in _groups(report):
        yield _speeds(title, results, report.footprints)
        ceilings = [result.name for result in results if result.ceiling]
        loaders = [result for result in results if not result.ceiling]
        if any(result.shares for result in loaders):
            rows = ([r.name, *(_number(r.shares.get(name), 3) for name in ceilings)] for r in loaders)
            yield table("", ["share of", *ceilings], rows)


def one_table(report: Report) -> Table:
    """The speeds of a report by the quick protocol, with the turns of each, and marks on those cut short."""
    (title, results), *_ = _groups(report)
    settings = report.subject.settings[0]
    title = f"{title}, batches of {settings.loading.batch_size}; ratio to torchvision"
    made = _speeds(title, results, report.footprints, "ratio", turns=True)
    made.caption, made.caption_justify = " ".join(_caption(report)), "left"
    return made


def _caption(report: Report) -> Iterator[str]:
    if any(result.cut for result in report.results):
        yield "* cut: 60 s were not enough for more."
    if BASELINE in report.subject.loaders and len(recipes(report.subject.pipeline, report.subject.steps)) > 1:
        yield "torchvision's color_jitter does more than ours; --thorough also measures without it."


def panels(report: Report) -> list[Panel]:
    """The same for a chart."""
    found = []
    for title, results in _groups(report):
        speeds = {(r.ceiling, r.name): Quartiles.of(r.rates) for r in results if r.rates}
        bars = {name: speed for (ceiling, name), speed in speeds.items() if not ceiling}
        ceilings = {name: speed.median for (ceiling, name), speed in speeds.items() if ceiling}
        found.append(Panel(title, bars, ceilings))
    return found


def _groups(report: Report) -> Iterator[tuple[str, list[Result]]]:
    keys = dict.fromkeys((result.settings.threads, result.pipeline) for result in report.results)
    for threads, pipeline in keys:
        title = f"{pipeline}, {threads} thread{'s' * (threads != 1)}"
        yield title, [r for r in report.results if (r.settings.threads, r.pipeline) == (threads, pipeline)]


def _speeds(
    title: str,
    results: Sequence[Result],
    footprints: Sequence[Footprint],
    ratio: str = "× torchvision",
    turns: bool = False,
) -> Table:
    key = results[0].pipeline, results[0].settings.threads
    costs = {cost.loader: cost for cost in footprints if (cost.pipeline, cost.threads) == key}
    headings = ["images/s", "quartiles", ratio, "CPU s", *(["first s", "MiB"] if costs else [])]
    made = table(title, ["loader", *headings, *(["turns"] if turns else [])], [])
    for ceiling in (False, True):
        for result in (result for result in results if result.ceiling == ceiling):
            costs_of = _cost(costs.get(result.name)) or ("", "") * bool(costs)
            made.add_row(result.name, *_speed(result), *costs_of, *([_turns(result)] if turns else []))
        made.add_section()
    return made


def _turns(result: Result) -> str:
    return f"{len(result.rates)}{' *' * result.cut}"


def _speed(result: Result) -> Iterator[str]:
    yield from speed(Quartiles.of(result.rates)) if result.problem is None else ("–", result.problem)
    yield "" if result.ceiling else _number(result.ratio, 2)
    yield _median(result.cpu_seconds_per_1000, 2)


def _cost(cost: Footprint | None) -> tuple[str, ...]:
    return () if cost is None else (_median(cost.first_batch_seconds, 2), _median(cost.memory_mib, 0))


def _median(values: Sequence[float], digits: int) -> str:
    return _number(Quartiles.of(values).median if values else None, digits)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
