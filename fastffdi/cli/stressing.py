"""Options of evaluate that degrade images: all of them with --stress, one class alone with --bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.options import grouped
from fastffdi.errors import SettingError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.cli.evaluate_sets import Part
    from fastffdi.inference.degradations import Degradation

ALL = "all"


#: Gives a command --stress, --bias and --stress-limit.
stressing = grouped(
    click.option(
        "--stress",
        is_flag=False,
        flag_value=ALL,
        metavar="[NAMES]",
        help="Also the figures when all images are degraded, by JPEG, WebP, blur and more; or by NAMES "
        "such as jpeg,blur.  [default: off]",
    ),
    click.option(
        "--bias",
        is_flag=True,
        help="Also how scores move when one class alone is degraded: whether JPEG quality, size or "
        "sharpness stand in for the forgery.  [default: off]",
    ),
    click.option(
        "--stress-limit",
        type=click.IntRange(min=2),
        default=1000,
        show_default=True,
        help="Images that --stress and --bias take, of both classes as they come.",
    ),
)


@dataclass(frozen=True)
class Plan:
    """What is asked for: degradations for --stress, whether there is --bias, and of how many images."""

    stress: tuple[Degradation, ...]
    bias: bool
    limit: int

    @classmethod
    def of(cls, options: dict[str, Any]) -> Plan | None:
        """That of evaluate's options; None for nothing.

        Raises SettingError for unknown names, and where there are no images to degrade.
        """
        if options["stress"] is None and not options["bias"]:
            return None
        if options["scores"]:
            name = "--bias" if options["stress"] is None else "--stress"
            raise SettingError(f"{name}: needs images to degrade; give a checkpoint in place of --scores")
        chosen = () if options["stress"] is None else _named(options["stress"])
        return cls(chosen, options["bias"], options["stress_limit"])


def examine(part: Part, plan: Plan, options: dict[str, Any], on: Console) -> dict[str, Any]:
    """Score a part's images degraded, print what comes of it, and give it back as plain data for --json.

    Accuracy is at --threshold; else at the stored decision's, of calibrated scores; else at 0.5.
    """
    from fastffdi.cli import stress_tables as tables
    from fastffdi.cli.loading import merged_of
    from fastffdi.cli.screen import bar
    from fastffdi.inference.examination import Examined, Facts, versions

    predictor, manifest = part.predictor, part.manifest
    assert predictor is not None, "Plan.of refuses scores from a file"
    assert manifest is not None, "it has scored these images"
    if min(manifest.class_counts().values()) == 0:
        click.echo("\n  --stress, --bias: need real and fake images; only one class is there")
        return {}
    chosen = manifest.limit(plan.limit, options["seed"])
    facts = Facts.of(chosen, merged_of(options)) if plan.bias else None
    wanted = [*plan.stress, *(() if facts is None else facts.degradations())]
    total = len(chosen) * len(versions(wanted))
    with bar(total, "degrading", on) as progress:
        examined = Examined.of(predictor, chosen, wanted, progress.advance)
    how, count = (options["resamples"], options["seed"]), len(examined.labels)
    fakes = int(examined.labels.sum())
    record: dict[str, Any] = {"degraded": {"reals": count - fakes, "fakes": fakes}}
    if plan.stress:
        given = options["threshold"]
        decision = predictor.decision if given is None else None
        default = 0.5 if decision is None else decision.threshold
        threshold = default if given is None else given
        stressed = examined.stressed(plan.stress, threshold, *how, decision)
        click.echo("\n".join(tables.stressed(stressed, count, threshold, decision is not None)))
        record["stress"] = [tables.stress_row(one) for one in stressed[1:]]
    if facts is not None:
        shifted = examined.shifted(facts.degradations(), *how)
        factors = examined.factors(facts, shifted)
        click.echo("\n".join(tables.biased(shifted, factors, facts.matches, count)))
        record["bias"] = [row for one in shifted for row in tables.bias_rows(one)]
        record["factors"] = [tables.factor_row(one, facts.matches.get(one.fact)) for one in factors]
    return record


def _named(text: str) -> tuple[Degradation, ...]:
    """The degradations of names with commas between them, or all."""
    from fastffdi.inference.degradations import STRESS

    known, names = dict.fromkeys(one.name for one in STRESS), text.split(",")
    if text == ALL:
        return STRESS
    for name in names:
        if name not in known:
            raise SettingError(
                f"--stress {text}: unknown degradation{did_you_mean(name, known)}; give {','.join(known)} or "
                "some of them, or --stress at the end for all"
            )
    return tuple(one for one in STRESS if one.name in names)
