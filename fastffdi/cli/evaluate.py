"""fastffdi evaluate"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastffdi.cli.deciding import deciding, fitted, store, wanted
from fastffdi.cli.deciding import told as told_of
from fastffdi.cli.labelled import images_of, labelled
from fastffdi.cli.loading import follow_symlinks, loading, max_megapixels, merged, on_corrupt
from fastffdi.cli.viewing import manner, numbers, viewing
from fastffdi.errors import DataError, SettingError
from fastffdi.world import World

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.data.manifest import Manifest
    from fastffdi.evaluation.figures import Figure, Group
    from fastffdi.evaluation.scored import Scored

_FILE = click.Path(path_type=Path)

#: The exit code where images were left out that cannot be decoded, as predict's.
SKIPPED = 3


@click.command()
@click.argument("checkpoints", nargs=-1, type=_FILE, metavar="[CHECKPOINT...]")
@labelled("Label file img_name,target, in place of --data.")
@click.option(
    "--scores",
    type=_FILE,
    help="Table img_name,target,y_pred of any detector, in place of checkpoints and images.",
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
@click.option("--json", "json_file", type=_FILE, help="Write everything to this file, too.")
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
    Images that cannot be decoded are left out, and the exit code is 3.
    """
    from fastffdi.cli.evaluate_tables import compared, grouped, headed, told
    from fastffdi.cli.record import write_json
    from fastffdi.cli.screen import console

    _check(checkpoints, options)
    decides, screen = wanted(options), console()
    how_scored = manner(*(options[name] for name in ("views", "pool", "scales")))
    models, skipped = _scored(checkpoints, options, screen)
    from fastffdi.evaluation.figures import compare, figures, groups
    from fastffdi.model.checkpoint import versions

    threshold, how = options["threshold"], (options["resamples"], options["seed"])
    record: list[dict[str, Any]] = []
    for name, scored in models.items():
        found = figures(scored.labels, scored.scores, threshold, *how)
        parts = [] if options["by"] is None else groups(scored, options["by"], threshold, *how)
        click.echo("\n".join([*headed(name, scored), *told(found), *grouped(options["by"], parts)]))
        record.append(_model(name, scored, found, parts) | {"manner": how_scored})
        if decides:
            decision = replace(fitted(scored, options), manner=how_scored)
            click.echo("\n".join(["", *(f"  {line}" for line in told_of(scored, decision, options))]))
            record[-1]["decision"] = decision.to_data()
            if options["store"]:
                click.echo(f"  {store(Path(name), decision)}")
    (first, *others) = models
    for other in others:
        common = _common(models[first], models[other])
        found_apart = compare(*common, *how)
        click.echo("\n".join(compared(first, other, found_apart)))
        record[[*models].index(other)]["less_than_first"] = asdict(found_apart)
    if options["json_file"] is not None:
        write_json(options["json_file"], {"versions": versions(), "models": record})
    if skipped:
        click.echo(f"images that cannot be decoded: {skipped}", err=True)
        raise click.exceptions.Exit(SKIPPED)


def _check(checkpoints: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Refuse what does not go together before any work."""
    data, labels, scores, file = (options[name] for name in ("data", "labels", "scores", "json_file"))
    if (scores is None) == (not checkpoints):
        raise SettingError("evaluate: give CHECKPOINTs, or --scores FILE of any detector")
    looks = options["views"] or options["pool"] != "mean" or options["scales"] != "1"
    if scores is not None and looks:
        raise SettingError("--scores: are made already; leave out --views, --pool and --scales")
    if scores is not None and (data or labels or options["images"]):
        raise SettingError("--scores: has the labels as well; leave out --data, --labels and --images")
    if scores is None and (data is None) == (labels is None):
        raise SettingError("evaluate: name the images in one way: --data DIR or --labels FILE")
    if options["images"] is not None and labels is None:
        raise SettingError("--images: belongs to --labels FILE; give both")
    if len(set(checkpoints)) < len(checkpoints):
        raise SettingError("evaluate: a checkpoint is named twice; name each once")
    if not World.here().alone:
        raise SettingError("evaluate: works in one process; start it without torchrun")
    inputs = [*checkpoints, *(path for path in (labels, scores, options["loader_settings"]) if path)]
    if file is not None and any(path.exists() and file.exists() and file.samefile(path) for path in inputs):
        raise SettingError(f"--json {file}: is a file that is read; name another file to write")
    if file is not None and file.exists() and not options["overwrite"]:
        raise SettingError(f"--json {file}: exists; name another file, or add --overwrite")
    if file is not None and not file.resolve().parent.is_dir():
        raise SettingError(f"--json {file}: there is no folder {file.parent}; make it first")


def _scored(
    checkpoints: tuple[Path, ...], options: dict[str, Any], screen: Console
) -> tuple[dict[str, Scored], int]:
    """The images with their scores by model, and how many cannot be decoded."""
    from fastffdi.evaluation.scored import Scored, read_scores

    if options["scores"] is not None:
        return {str(options["scores"]): read_scores(options["scores"])}, 0
    data, labels, images = (options[name] for name in ("data", "labels", "images"))
    manifest = images_of(data, labels, images, "required", screen.print, options["follow_symlinks"])
    assert manifest.labels is not None
    by, found, skipped = options["by"], {}, 0
    columns = {} if by is None else {by: manifest.column(by)}
    for checkpoint in checkpoints:
        scores, corrupt = _predicted(checkpoint, manifest, options, screen)
        found[str(checkpoint)] = Scored(manifest.names, manifest.labels, scores, columns).known()
        skipped = max(skipped, corrupt)
    return found, skipped


def _predicted(
    checkpoint: Path, manifest: Manifest, options: dict[str, Any], screen: Console
) -> tuple[Any, int]:
    from fastffdi.cli.screen import bar
    from fastffdi.inference.predict import Predictor

    predictor = Predictor(
        checkpoint,
        device=options["device"],
        amp=options["amp"],
        backend=options["loader"],
        loading=merged(
            options["loader_settings"],
            options["threads"],
            options["batch_size"],
            options["process"],
            options["memory_cap"],
            options["max_megapixels"],
        ),
        cache=options["cache"],
        on_corrupt=options["on_corrupt"],
        views=options["views"],
        pool=options["pool"],
        scales=numbers(options["scales"]),
    )
    with bar(len(manifest), f"scoring by {checkpoint.name}", screen) as progress:
        scores = predictor(manifest, progress.advance)
    return scores, len(predictor.reasons)


def _common(first: Scored, other: Scored) -> tuple[Any, Any, Any]:
    """Labels and both scores of the images; the same ones could be decoded for both."""
    if first.names.tolist() != other.names.tolist():
        raise DataError(
            "evaluate: the checkpoints could not decode the same images; take out those that fail"
        )
    return first.labels, first.scores, other.scores


def _model(name: str, scored: Scored, found: dict[str, Figure], parts: list[Group]) -> dict[str, Any]:
    return {
        "scores_of": name,
        "images": len(scored),
        "reals": int((scored.labels == 0).sum()),
        "fakes": int((scored.labels == 1).sum()),
        "left_out": scored.left_out,
        "figures": {key: asdict(figure) for key, figure in found.items()},
        "groups": [asdict(group) for group in parts],
    }
