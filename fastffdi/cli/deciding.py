"""Options of evaluate that fit how scores become decisions, and what it says of that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.options import grouped
from fastffdi.errors import SettingError
from fastffdi.escapes import escaped

if TYPE_CHECKING:
    from fastffdi.evaluation.decision import Decision
    from fastffdi.evaluation.scored import Scored


#: Gives a command --calibrate, --choose-threshold, --error-rate and --store.
deciding = grouped(
    click.option(
        "--calibrate",
        type=click.Choice(["temperature", "platt", "isotonic"]),
        help="Fit probabilities to the scores of these images.  [default: off]",
    ),
    click.option(
        "--choose-threshold",
        metavar="RULE",
        help="From these images: eer, youden, fpr=0.01 (at most), or cost=10 (of a missed fake, in false "
        "alarms).  [default: off]",
    ),
    click.option(
        "--error-rate",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="Leave scores undecided so that at most this share of reals, and of fakes, is called what "
        "it is not.  [default: off]",
    ),
    click.option(
        "--store",
        is_flag=True,
        help="Keep these in the checkpoint, for predict --decide.  [default: off]",
    ),
)


def wanted(options: dict[str, Any]) -> bool:
    """Whether a decision is to be fitted.

    Raises SettingError where there is nothing to store, or more than one set to fit it to.
    """
    given = any(options[name] is not None for name in ("calibrate", "choose_threshold", "error_rate"))
    if options["store"] and not given:
        raise SettingError("--store: give --calibrate, --choose-threshold or --error-rate to store")
    if given and sum(len(options[name]) for name in ("data", "labels", "scores")) > 1:
        raise SettingError(
            "evaluate: calibration, threshold and error rate are fitted to one set; name one with --store, "
            "then evaluate the others"
        )
    if options["store"] and options["scores"]:
        raise SettingError("--store: there is no checkpoint to store it in; give one in place of --scores")
    return given


def fitted(scored: Scored, options: dict[str, Any]) -> Decision:
    """The decision of these options."""
    from fastffdi.evaluation.decision import fit

    return fit(
        scored.labels,
        scored.scores,
        options["calibrate"],
        options["choose_threshold"] or "youden",
        options["error_rate"],
    )


def told(scored: Scored, decision: Decision, options: dict[str, Any]) -> Iterator[str]:
    """What the decision is, and what it does."""
    from fastffdi.evaluation import measures
    from fastffdi.evaluation.calibration import cross_fitted

    if options["calibrate"] is not None:
        after = cross_fitted(scored.labels, scored.scores, options["calibrate"])
        sets = [measures.whole(scored.labels, scores) for scores in (scored.scores, after)]
        parts = (
            f"{name} {before:.4f} → {then:.4f}"
            for name, measure in (("ECE", measures.ece), ("Cllr", measures.cllr))
            for before, then in [[float(measure(one)[0]) for one in sets]]
        )
        yield f"calibrated by {options['calibrate']}, each fifth by the others: {', '.join(parts)}"
    scale = "calibrated scores" if decision.calibration else "scores"
    yield f"threshold by {decision.rule}: fake from {scale} of {decision.threshold:.4f} on"
    if decision.band is not None:
        band, words = decision.band, decision(scored.scores)
        share = float((words == "inconclusive").mean())
        yield (
            f"inconclusive: {scale} from {band.low:.4f} to {band.high:.4f}, {share:.1%} of these images; at "
            f"most {band.error_rate:g} of reals and of fakes like these are called what they are not"
        )


def store(checkpoint: Path, decision: Decision) -> str:
    """Write the decision into the checkpoint, and say so."""
    from fastffdi.model.checkpoint import amend

    amend(checkpoint, decision=decision.to_data())
    return f"stored in {escaped(str(checkpoint))}; next: fastffdi predict --decide"
