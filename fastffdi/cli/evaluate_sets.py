"""What evaluate judges: sets of images, and each model's scores of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastffdi.cli.labelled import images_of
from fastffdi.cli.loading import merged_of
from fastffdi.cli.reporting import check_report, images_of_scores
from fastffdi.cli.viewing import manner, numbers
from fastffdi.errors import SettingError
from fastffdi.world import World

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.data.manifest import Manifest
    from fastffdi.evaluation.decision import Decision
    from fastffdi.evaluation.scored import Scored
    from fastffdi.inference.predict import Predictor


@dataclass(frozen=True)
class Part:
    """The scores of a set of images by a model.

    Attributes:
        model: the checkpoint as the user named it; empty where the scores came from a file
        set: the folder, label file or table of scores as the user named it
        title: what it is called where all are told
        predictor, manifest: what scored which images; None where the scores came from a file, but for the
            images of a report's --images
    """

    model: str
    set: str
    title: str
    scored: Scored
    predictor: Predictor | None = None
    manifest: Manifest | None = None

    @property
    def manner(self) -> str:
        """How the scores were made, as predict's options; empty by one look, or where nobody says."""
        return "" if self.predictor is None else self.predictor.manner

    @property
    def stored(self) -> Decision | None:
        """The decision that the checkpoint holds for scores that are made so."""
        decision = None if self.predictor is None else self.predictor.decision
        return decision if decision is not None and decision.manner == self.manner else None

    @property
    def scores_of(self) -> str:
        """The checkpoint, or the table of scores."""
        return self.model or self.set


def asked(checkpoints: tuple[Path, ...], options: dict[str, Any]) -> tuple[tuple[Path, ...], dict[str, Any]]:
    """The checkpoints, and options in which further files after `--scores FILE` are tables of scores too.

    Raises SettingError for what does not go together, before any work.
    """
    if options["scores"] and not any(path.suffix == ".safetensors" for path in checkpoints):
        options, checkpoints = options | {"scores": (*options["scores"], *checkpoints)}, ()
    data, labels, scores, file = (options[name] for name in ("data", "labels", "scores", "json_file"))
    if bool(scores) == bool(checkpoints):
        raise SettingError("evaluate: give CHECKPOINTs, or --scores FILE of any detector")
    shown = options["images"] is not None and options["report"] is not None
    if scores and (data or labels or (options["images"] and not shown)):
        raise SettingError("--scores: has the labels as well; leave out --data, --labels and --images")
    if scores and manner(options["views"], options["pool"], options["scales"]):
        raise SettingError("--scores: are made already; leave out --views, --pool and --scales")
    if not scores and bool(data) == bool(labels):
        raise SettingError("evaluate: name the images in one way: --data DIR or --labels FILE")
    if options["images"] is not None and not labels and not scores:
        raise SettingError("--images: belongs to --labels FILE; give both")
    if scores and shown and not options["images"].is_dir():
        raise SettingError(
            f"--images {options['images']}: there is no such folder; name the one that the names are below"
        )
    _once("a checkpoint", checkpoints)
    _once("a set of images", (*data, *labels, *scores))
    if not World.here().alone:
        raise SettingError("evaluate: works in one process; start it without torchrun")
    inputs = [*checkpoints, *labels, *scores, *filter(None, [options["loader_settings"]])]
    _check_output(file, inputs, options["overwrite"])
    check_report(options["report"], inputs, file, options["overwrite"])
    return checkpoints, options


def parts(checkpoints: tuple[Path, ...], options: dict[str, Any], screen: Console) -> tuple[list[Part], int]:
    """The scores of each model for each set, and how many images cannot be decoded."""
    from fastffdi.evaluation.scored import read_scores

    if options["scores"]:
        tables = {str(file): read_scores(file) for file in options["scores"]}
        return [
            Part("", file, file, scored, manifest=images_of_scores(scored, options["images"]))
            for file, scored in tables.items()
        ], 0
    sets, found, skipped = dict(_sets(options, screen)), [], 0
    for checkpoint in checkpoints:
        predictor, corrupt = _predictor(checkpoint, options), 0
        for name, manifest in sets.items():
            scored = _scored(predictor, checkpoint, manifest, options["by"], screen)
            title = f"{checkpoint} on {name}" if len(sets) > 1 else str(checkpoint)
            found.append(Part(str(checkpoint), name, title, scored, predictor, manifest))
            corrupt += len(predictor.reasons)
        skipped = max(skipped, corrupt)
    return found, skipped


def _once(what: str, paths: tuple[Path, ...]) -> None:
    if len(set(paths)) < len(paths):
        raise SettingError(f"evaluate: {what} is named twice; name each once")


def _check_output(file: Path | None, inputs: list[Path], overwrite: bool) -> None:
    """Refuse to write over what is read, and over any file unless asked to."""
    if file is None:
        return
    if any(path.exists() and file.exists() and file.samefile(path) for path in inputs):
        raise SettingError(f"--json {file}: is a file that is read; name another file to write")
    if file.exists() and not overwrite:
        raise SettingError(f"--json {file}: exists; name another file, or add --overwrite")
    if not file.resolve().parent.is_dir():
        raise SettingError(f"--json {file}: there is no folder {file.parent}; make it first")


def _sets(options: dict[str, Any], screen: Console) -> Iterator[tuple[str, Manifest]]:
    links, images = options["follow_symlinks"], options["images"]
    for data in options["data"]:
        yield str(data), images_of(data, None, None, "required", screen.print, links)
    for labels in options["labels"]:
        yield str(labels), images_of(None, labels, images, "required", screen.print, links)


def _predictor(checkpoint: Path, options: dict[str, Any]) -> Predictor:
    from fastffdi.inference.predict import Predictor

    return Predictor(
        checkpoint,
        device=options["device"],
        amp=options["amp"],
        backend=options["loader"],
        loading=merged_of(options),
        cache=options["cache"],
        on_corrupt=options["on_corrupt"],
        views=options["views"],
        pool=options["pool"],
        scales=numbers(options["scales"]),
    )


def _scored(
    predictor: Predictor, checkpoint: Path, manifest: Manifest, by: str | None, screen: Console
) -> Scored:
    from fastffdi.cli.screen import bar
    from fastffdi.evaluation.scored import Scored

    assert manifest.labels is not None
    columns = {} if by is None else {by: manifest.column(by)}
    with bar(len(manifest), f"scoring by {checkpoint.name}", screen) as progress:
        scores = predictor(manifest, progress.advance)
    return Scored(manifest.names, manifest.labels, scores, columns).known()
