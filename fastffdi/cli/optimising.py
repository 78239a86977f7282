"""Options about how a run learns; the other settings of the optimisation are for a configuration file."""

from __future__ import annotations

import click

from fastffdi.cli.options import grouped

#: The settings that have an option.
NAMES = ("tune", "freeze", "accumulate", "label_smoothing", "ema")


#: Gives a command --tune, --freeze, --accumulate, --label-smoothing and --ema.
optimising = grouped(
    click.option(
        "--tune",
        type=click.Choice(["all", "head", "norm"]),
        default="all",
        show_default=True,
        help="What to train: all; the last layer, on a frozen backbone; norm layers and the last layer.",
    ),
    click.option(
        "--freeze",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="EPOCHS",
        help="Train the last layer alone in the first epochs.",
    ),
    click.option(
        "--accumulate",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="BATCHES",
        help="Make one update of so many batches.",
    ),
    click.option(
        "--label-smoothing",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.0,
        show_default=True,
        help="Spread this share of each label over both classes.",
    ),
    click.option(
        "--ema",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        metavar="DECAY",
        help="Judge a moving average of the weights as well, and keep the better.  [default: none]",
    ),
)
