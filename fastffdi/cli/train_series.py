"""`train --seeds` and `train --folds`: several runs, and one table of what came out of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fastffdi.cli.train_run import train_one, with_command
from fastffdi.errors import SettingError
from fastffdi.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from rich.console import Console

    from fastffdi.data.folds import Pool
    from fastffdi.training.result import EpochResult
    from fastffdi.training.series import Member
    from fastffdi.training.settings import Settings


def is_series(options: dict[str, Any]) -> bool:
    """Whether several runs are asked for. Raises SettingError for options that do not go together."""
    if options["group_by"] is not None and options["folds"] is None:
        raise SettingError("--group-by: belongs to --folds; give both, or neither")
    given = [f"--{name}" for name in ("seeds", "folds") if options[name] is not None]
    if len(given) > 1:
        raise SettingError("--seeds: goes without --folds; give one of the two")
    if given and options["dry_run"]:
        raise SettingError(f"--dry-run: is of a single run; leave out {given[0]}")
    if given and not World.here().alone:
        raise SettingError(
            f"{given[0]}: not in several processes; start its runs one by one, or without torchrun"
        )
    return bool(given)


def train_series(context: click.Context, settings: Settings, builtin: Path | None, screen: Console) -> None:
    """Train one run after the other, and say what came out of them."""
    from fastffdi.audit.audit import quick_findings
    from fastffdi.data.doubts import doubts
    from fastffdi.data.folds import Pool
    from fastffdi.training import series

    options, remarks = context.params, list[str]()
    if options["folds"] is not None and settings.holdout is not None:
        raise SettingError("--holdout: goes without --folds, of which each is held out; give one of the two")
    if options["seeds"] is not None:
        if context.get_parameter_source("seed") == ParameterSource.COMMANDLINE:
            raise SettingError("--seed: goes without --seeds; give one of the two")
        seeds = series.parse_seeds(options["seeds"])
    dataset = settings.dataset(remarks.append, builtin)
    remarks += [f"data: {dataset.description}", *doubts(dataset)]
    remarks += quick_findings(dataset, settings.loading.threads)
    if options["folds"] is None:
        members = series.of_seeds(settings, seeds)
        _train_all(members, settings, builtin, remarks, screen, options)
        return
    pool = Pool.of(dataset, options["group_by"])
    folds = pool.folds(options["folds"], settings.seed, remarks.append)
    members = series.of_folds(settings, pool, folds)
    if _train_all(members, settings, builtin, remarks, screen, options):
        _score_out_of_fold(settings.output / series.OUT_OF_FOLD, members, pool, folds)


def _train_all(
    members: Sequence[Member],
    settings: Settings,
    builtin: Path | None,
    remarks: list[str],
    screen: Console,
    options: dict[str, Any],
) -> bool:
    """Train every member and show the table; whether none is left."""
    from fastffdi.training.interruption import TIME_OVER
    from fastffdi.training.interval import Alarm
    from fastffdi.training.keeper import Stopped
    from fastffdi.training.series import write_table

    time_limit = Alarm(settings.longest)
    results: list[EpochResult] = []
    for number, member in enumerate(members):
        if number and time_limit.is_due(0):
            over = Stopped(f"{number} of {len(members)} runs are over", TIME_OVER, True)
            screen.print(
                f"--time-limit {settings.time_limit} is over: {with_command(over, settings.output, options)}"
            )
            break
        remarks.append(f"{member.kind} {member.number}, run {number + 1} of {len(members)}")
        dataset = member.settings.dataset(remarks.append, builtin)
        experiment = train_one(
            member.settings, dataset, remarks, screen, options, settings.output, time_limit, bool(number)
        )
        assert experiment.best is not None
        results.append(experiment.best)
        remarks.clear()
        if experiment.stopped is not None:
            break
    done = members[: len(results)]
    write_table(settings.output / f"{members[0].kind}s.csv", done, results)
    _show(done, results, complete=len(results) == len(members))
    return len(results) == len(members) and experiment.stopped is None


def _show(members: Sequence[Member], results: Sequence[EpochResult], complete: bool) -> None:
    from fastffdi.cli.bench_tables import show, table
    from fastffdi.training.log import shown
    from fastffdi.training.series import mean_and_sd

    rows = [
        [str(member.number), str(result.epoch + 1), shown(result.validation["auc"])]
        for member, result in zip(members, results, strict=True)
    ]
    found = mean_and_sd(results) if complete else None
    if found is not None:
        rows.append(["mean ± sd", "", f"{found[0]:.4f} ± {found[1]:.4f}"])
    show(table("", [members[0].kind, "best epoch", "AUC"], rows))


def _score_out_of_fold(path: Path, members: Sequence[Member], pool: Pool, folds: np.ndarray) -> None:
    import numpy as np

    from fastffdi.evaluation.metrics import auc
    from fastffdi.training.log import shown
    from fastffdi.training.series import out_of_fold, write_out_of_fold

    scores = out_of_fold(members, folds)
    write_out_of_fold(path, pool, folds, scores)
    known = np.isfinite(scores)
    found = shown(auc(pool.labels[known], scores[known]))
    click.echo(f"out of fold: AUC {found} over {int(known.sum())} images, in {path}")
