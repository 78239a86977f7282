"""fastffdi bench-loader"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.loading import follow_symlinks, loader_settings, memory_cap
from fastffdi.errors import SettingError

if TYPE_CHECKING:
    from fastffdi.bench.loader import Settings
    from fastffdi.bench.minute import Minute

_FOLDER = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, dir_okay=False)


class _Counts(click.ParamType):
    """Whole numbers from 1 on, with commas."""

    name = "integers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        words = [word.strip() for word in str(value).split(",")]
        if not all(word.isdecimal() and int(word) for word in words):
            self.fail(f"'{value}' is not one or more whole numbers from 1 on, with commas.", param, ctx)
        return tuple(sorted({int(word) for word in words}))


@click.command("bench-loader")
@click.option(
    "--data", type=_FOLDER, help="Folder as for train, or any folder with images.  [default: demo images]"
)
@follow_symlinks
@click.option(
    "--pipeline",
    default="jitter",
    show_default=True,
    help="A shipped recipe's name, or a file; its training part.",
)
@click.option(
    "--loaders",
    "--loader",
    default="all",
    show_default=True,
    help="With commas: torchvision, cpu, cached, dali.",
)
@click.option(
    "--threads",
    type=_Counts(),
    help="Threads or worker processes, and cores to use; with commas and --thorough, each in turn.  "
    "[default: the usable cores]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Images per batch.  [default: 64; without --thorough fewer where images are large]",
)
@click.option(
    "--cache",
    type=_FOLDER,
    help="Measure the cpu loader also as `cached`: with its images from this folder, filled first.",
)
@loader_settings
@memory_cap
@click.option(
    "--to",
    type=click.Choice(["normalised", "uint8"]),
    default="normalised",
    show_default=True,
    help="The batches counted: ready for the model, or as loaders give them.",
)
@click.option(
    "--thorough",
    is_flag=True,
    help="Measure by the protocol of the published figures, as long as it takes.  [default: at most 60 s]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Least length of a turn; with --thorough.  [default: 3]",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), help="Turns of each loader; with --thorough.  [default: 5]"
)
@click.option(
    "--device", default="auto", show_default=True, help="Where batches go: auto, cpu, cuda or cuda:N."
)
@click.option(
    "--amp", default="auto", show_default=True, help="Their precision: auto (as train), bf16, fp16 or off."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--json",
    "file",
    type=_FILE,
    help="Where all figures are written.  [default: runs/bench-loader-DATE-TIME.json]",
)
@click.option("--plot", type=_FILE, help="Also draw them, to a file that ends in .png or .html.")
@click.option(
    "--tune",
    type=_FILE,
    help="Instead, find the fastest settings of the first loader named (else of train's default), with at "
    "most --threads, and write them to this YAML file for --loader-settings.",
)
@click.option("--explain", is_flag=True, help="Also print how it is measured.  [default: off]")
def bench_loader(
    data: Path | None,
    follow_symlinks: bool,
    pipeline: str,
    loaders: str,
    cache: Path | None,
    file: Path | None,
    plot: Path | None,
    tune: Path | None,
    thorough: bool,
    explain: bool,
    **options: Any,
) -> None:
    """Measure image loaders in a minute: speed, CPU time, memory and time to the first batch.

    Against torchvision's DataLoader, and against what reading, decoding and copying alone allow. All show the
    same images by the same recipe, on the same cores. The last sentence says what limits, and what to change.
    """
    _check_protocol(options, thorough)
    _check_files(file, plot, tune)
    minute = None if thorough else _begun(options)
    from fastffdi.bench import machine
    from fastffdi.bench.loader import available
    from fastffdi.bench.report import Subject
    from fastffdi.cli.dataset import training_images
    from fastffdi.cli.screen import console
    from fastffdi.model.backbone import load_recipe

    recipe = load_recipe(pipeline)
    settings = _settings(options, scaled=recipe.decode.scaled, cache=cache)
    names, screen, facts = available(loaders, cache), console(), machine.facts()
    manifest, described = training_images(data, screen, follow_symlinks)
    screen.print(f"data: {described}")
    subject = Subject(pipeline, recipe.train, manifest, names, settings)
    if tune is None:
        from fastffdi.cli.bench_report import measure

        measure(subject, described, facts, file or _record(), plot, explain, minute)
    else:
        from fastffdi.cli.bench_tune import find
        from fastffdi.loaders.factory import choose_loader

        first = loaders.partition(",")[0].strip()
        loader = choose_loader("auto", settings[-1].device) if loaders == "all" else first
        find(tune, loader, subject, described, facts, explain, minute)


def _check_files(file: Path | None, plot: Path | None, tune: Path | None) -> None:
    from fastffdi.cli.record import check_folder

    check_folder("--json", file)
    check_folder("--tune", tune)
    if tune is not None and (file or plot):
        raise SettingError(f"--tune {tune}: writes settings only; leave out --json and --plot")
    if plot is not None:
        from fastffdi.bench.plot import check

        check(plot)


def _check_protocol(options: dict[str, Any], thorough: bool) -> None:
    """Raise SettingError for options that have no meaning where turns are fitted into a minute."""
    for name in ("seconds", "repeats"):
        if options[name] is not None and not thorough:
            raise SettingError(
                f"--{name} {options[name]:g}: turns are as many and as long as fit in 60 s; add --thorough"
            )
    if len(options["threads"] or ()) > 1 and not thorough:
        counts = ",".join(map(str, options["threads"]))
        raise SettingError(
            f"--threads {counts}: 60 s are enough for one number only; give one, or add --thorough"
        )


def _begun(options: dict[str, Any]) -> Minute:
    """The minute that begins now; batches get no smaller where their size is given."""
    from fastffdi.bench.minute import begin
    from fastffdi.loaders.settings import read_settings

    file = options["loader_settings"]
    known = {} if file is None else read_settings(file)
    return begin(fixed_batch=options["batch_size"] is not None or "batch_size" in known)


def _record() -> Path:
    """A new file, in a folder for it. Raises SettingError where that cannot be made."""
    folder = Path("runs")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SettingError(f"{folder}: cannot be made ({error.strerror}); name a file by --json") from None
    return folder / f"bench-loader-{datetime.now():%Y%m%d-%H%M%S}.json"


def _settings(options: dict[str, Any], scaled: bool, cache: Path | None) -> list[Settings]:
    """One for each number of threads."""
    from fastffdi.bench.loader import Settings
    from fastffdi.loaders.settings import LoaderSettings, read_settings, usable_cores
    from fastffdi.model import precision
    from fastffdi.model.device import choose_device

    device, dtype = choose_device(options["device"]), options["amp"]
    file = options["loader_settings"]
    default = ({} if file is None else read_settings(file)).get("threads", usable_cores())
    first, *more = options["threads"] or (default,)
    given = ("seconds", "repeats", "seed", "to")
    settings = Settings(
        device,
        precision.choose(dtype, device).dtype,
        LoaderSettings.merged(
            file, threads=first, batch_size=options["batch_size"], memory_cap=options["memory_cap"]
        ),
        **{name: options[name] for name in given if options[name] is not None},
        scaled=scaled,
        cache=cache,
    )
    return [settings, *(replace(settings, loading=replace(settings.loading, threads=n)) for n in more)]
