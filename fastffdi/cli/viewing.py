"""Options about how each image is looked at: in which views and sizes, and by which models."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastffdi.cli.options import grouped
from fastffdi.errors import SettingError

if TYPE_CHECKING:
    from fastffdi.inference.predict import Predictor


#: Gives a command --views, --pool and --scales.
viewing = grouped(
    click.option(
        "--views",
        help="Score each image in several views: flip (it and its mirror), five_crop, ten_crop, tiles:N "
        "(N × N, of all of it) or random:N (draws of the training recipe).  [default: the recipe's own]",
    ),
    click.option(
        "--pool",
        default="mean",
        show_default=True,
        help="Of views and of models: mean (of P(fake)), logit (mean logit), or topk:K (mean of the "
        "K most suspicious views).",
    ),
    click.option(
        "--scales",
        default="1",
        show_default=True,
        help="Sizes to give the images to the network in, times its own: 0.75,1,1.25; they are pooled.",
    ),
)


def numbers(scales: str) -> tuple[float, ...]:
    """The numbers of --scales. Raises SettingError."""
    try:
        return tuple(float(word) for word in scales.split(","))
    except ValueError:
        raise SettingError(f"--scales {scales}: give numbers, for example 0.75,1,1.25") from None


def manner(views: str | None, pool: str, scales: str) -> str:
    """How scores are made with these options, in one spelling; empty for one look. Raises SettingError."""
    from fastffdi.inference import views as test_time
    from fastffdi.inference.pooling import Pool

    sizes = test_time.read_scales(numbers(scales))
    return test_time.manner(test_time.parsed(views), Pool.parsed(pool), sizes)


def leading(first: Path, others: Sequence[str]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The checkpoints at the beginning of a command's words, and the images after them.

    Those after the first are the files that end in .safetensors.
    """
    count = 0
    while count < len(others) and others[count].endswith(".safetensors") and not Path(others[count]).is_dir():
        count += 1
    checkpoints = first, *map(Path, others[:count])
    if len(set(checkpoints)) < len(checkpoints):
        raise SettingError("predict: a checkpoint is named twice; name each once")
    return checkpoints, tuple(others[count:])


def check_decides(predictor: Predictor, checkpoints: Sequence[Path]) -> None:
    """Raise SettingError where no decision was fitted to scores that are made as the predictor's."""
    if len(checkpoints) > 1:
        raise SettingError(
            "--decide: a threshold holds for one checkpoint alone; give one, or leave out --decide"
        )
    (checkpoint,) = map(str, checkpoints)
    again = f"fastffdi evaluate {shlex.quote(checkpoint)} --data DIR --choose-threshold eer --store"
    if predictor.decision is None:
        raise SettingError(f"--decide: {checkpoint} holds no threshold; fit one with: {again}")
    if predictor.decision.manner != predictor.manner:
        stored, now = (
            f"with {one}" if one else "of one look" for one in (predictor.decision.manner, predictor.manner)
        )
        raise SettingError(
            f"--decide: the threshold in {checkpoint} is for scores {stored}, and these are {now}; "
            f"give the same options, or fit another with: {' '.join(filter(None, (again, predictor.manner)))}"
        )
