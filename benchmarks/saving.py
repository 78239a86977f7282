"""What saving the state of a run costs, in a thread while training goes on.

    python benchmarks/saving.py [--backbone NAME] [--batch-size N] [--size PIXELS] [--saves 15] [--json FILE]

Groups of updates on one batch take turns: with a save after the first update, which is the copy of the state
there and then the thread that writes it, and without. `cost` is all that a save adds to its group, as a
share of one update: no update can be longer by more. Medians over the pairs of groups. The states are written
to the current folder's disk.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path

import click
import numpy as np

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.cli.bench_tables import show, table
from fastffdi.cli.record import write_record
from fastffdi.loaders.settings import LoaderSettings, usable_cores
from fastffdi.training import state
from fastffdi.training.experiment import Experiment
from fastffdi.training.keeper import Keeper
from fastffdi.training.preparation import prepare
from fastffdi.training.saving import Saver
from fastffdi.training.settings import Settings

#: Updates in a group; the writing is over well before its end.
_GROUP = 4

_RECIPE = (
    "{split}: [{{resize: {{size: [{size}, {size}]}}}}, {{normalize: {{mean: imagenet, std: imagenet}}}}]"
)


@click.command()
@click.option("--backbone", default="efficientnet_b0", show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--size", default=128, show_default=True, help="Height and width of the images.")
@click.option("--saves", default=15, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every time to this file.")
def main(backbone: str, batch_size: int, size: int, saves: int, file: Path | None) -> None:
    """Print what a save adds to an update."""
    facts = machine.facts()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        turns, mib = measured(Path(folder), backbone, batch_size, size, saves)
    with_save, without = (np.array([turn[name] for turn in turns]) for name in ("with", "without"))
    update, added = without / _GROUP, with_save - without
    cost = Quartiles.of((added / update).tolist()).to_data(4)
    rows = [
        ["an update", f"{1000 * np.median(update):.0f}", ""],
        ["a save adds", f"{1000 * np.median(added):.0f}", f"{cost['median']:+.1%}"],
    ]
    title = f"{backbone}, {batch_size} images of {size} × {size}; a state of {mib:.0f} MiB; {saves} saves"
    show(table(title, ["", "ms", "of an update"], rows), machine.sentence(facts, usable_cores()))
    if file is not None:
        settings = {"backbone": backbone, "batch_size": batch_size, "size": size, "saves": saves}
        results = {"state_mib": round(mib, 1), "cost": cost}
        write_record(file, {"machine": facts, "settings": settings, "results": results, "turns": turns})


def measured(
    folder: Path, backbone: str, batch_size: int, size: int, saves: int
) -> tuple[list[dict[str, float]], float]:
    """Seconds of each pair of groups, and MiB of a state."""
    recipe = folder / "plain.yaml"
    recipe.write_text("\n".join(_RECIPE.format(split=split, size=size) for split in ("train", "eval")))
    loading = LoaderSettings(batch_size=batch_size)
    settings = Settings(backbone, str(recipe), output=folder, loading=loading, pretrained=False)
    dataset = settings.dataset()
    with closing(prepare(settings, dataset, lambda line: None)) as experiment:
        with Saver(folder) as saver:
            keeper = experiment._keeper(saver, experiment.trainer.stop)
            groups = Groups(experiment, keeper)
            groups.seconds(False)  # what comes first is slower
            groups.seconds(True)
            turns = [{"without": groups.seconds(False), "with": groups.seconds(True)} for _ in range(saves)]
        return turns, state.files(folder)[-1].stat().st_size / 2**20


class Groups:
    """Updates of an experiment on its first batch."""

    def __init__(self, experiment: Experiment, keeper: Keeper) -> None:
        self._experiment, self._keeper = experiment, keeper
        loader = experiment.train
        self._batch = loader.prepared(next(loader.batches(0)))

    def seconds(self, saves: bool) -> float:
        """Of a group of updates, with a save after the first of them or without."""
        began = time.perf_counter()
        for k in range(_GROUP):
            trainer, place = self._experiment.trainer, self._experiment.place
            place.add(len(self._batch.images), trainer._step(self._batch), trainer.optimiser.learning_rate)
            if saves and k == 0:
                self._keeper.save()
        self._keeper.saver.wait()
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
