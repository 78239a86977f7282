"""fastffdi evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastffdi.cli.deciding import deciding, wanted
from fastffdi.cli.evaluate_sets import asked, parts
from fastffdi.cli.labelled import labelled
from fastffdi.cli.loading import follow_symlinks, loading, max_megapixels, on_corrupt
from fastffdi.cli.reporting import reporting, write_report
from fastffdi.cli.stressing import Plan, examine, stressing
from fastffdi.cli.viewing import viewing

_FILE = click.Path(path_type=Path)

#: The exit code where images were left out that cannot be decoded, as predict's.
SKIPPED = 3


@click.command()
@click.argument("checkpoints", nargs=-1, type=_FILE, metavar="[CHECKPOINT...]")
@labelled("Label file img_name,target, in place of --data.", several=True)
@click.option(
    "--scores",
    type=_FILE,
    multiple=True,
    help="Table img_name,target,y_pred of any detector, in place of checkpoints and images; several are "
    "several sets.",
)
@click.option("--by", metavar="COLUMN", help="Also the figures for each value of a further column.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Also what is right where a score of at least this counts as fake.",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=100),
    default=2000,
    show_default=True,
    help="Of the bootstrap, for the intervals.",
)
@deciding
@stressing
@click.option("--json", "json_file", type=_FILE, help="Write everything to this file, too.")
@reporting
@click.option("--overwrite", is_flag=True, help="Write over a file that exists.  [default: off]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the bootstrap.")
@follow_symlinks
@viewing
@loading
@on_corrupt
@max_megapixels
def evaluate(checkpoints: tuple[Path, ...], **options: Any) -> None:
    """Say how good a model's scores are, each figure with its 95 % interval.

    CHECKPOINTs are .safetensors files that train wrote, and the images are --data or --labels; or --scores
    has the scores of any detector. A second checkpoint is compared with the first on the same images.
    Several sets (--data A --data B) are judged one by one, then together: mean, spread and worst. Images
    that cannot be decoded are left out, and the exit code is 3.
    """
    from fastffdi.cli.record import write_json
    from fastffdi.cli.screen import console

    checkpoints, options = asked(checkpoints, options)
    decides, plan, screen = wanted(options), Plan.of(options), console()
    found, skipped = parts(checkpoints, options, screen)
    from fastffdi.cli.evaluate_across import together
    from fastffdi.cli.evaluate_judged import compare_models, decide, judge
    from fastffdi.model.checkpoint import versions

    record = []
    for part in found:
        record.append(judge(part, options, decides))
        if decides:
            decide(record[-1], options)
        if plan is not None:
            record[-1].degraded = examine(part, plan, options, screen)
    compare_models(record, options)
    everything = {"versions": versions(), "models": [one.to_data() for one in record]}
    if len({part.set for part in found}) > 1:
        lines, everything["across"] = together(record)
        click.echo("\n".join(lines))
    if options["json_file"] is not None:
        write_json(options["json_file"], everything)
    if options["report"] is not None:
        write_report(options["report"], record, checkpoints, options)
    if skipped:
        click.echo(f"images that cannot be decoded: {skipped}", err=True)
        raise click.exceptions.Exit(SKIPPED)
