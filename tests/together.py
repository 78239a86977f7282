"""Runs that several processes share; as a script, what forks them, as killed.py does."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from killed import IMPORTS


class Ended(NamedTuple):
    """How each process ended, and what its function gave: an exception where it raised one."""

    codes: list[int]
    values: list[Any]


class Error(NamedTuple):
    """How a run ended, and by which signal."""

    kind: str
    text: str
    number: int | None


class Together:
    """together(3, "train", settings, dataset): a function of this module, in so many processes at once."""

    def __init__(self, server: subprocess.Popen[bytes], folder: Path) -> None:
        self._server, self._folder = server, folder

    def __call__(self, size: int, function: str, *given: Any, **named: Any) -> Ended:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        pickle.dump((size, function, given, named, self._folder), self._server.stdin)
        self._server.stdin.flush()
        codes = json.loads(self._server.stdout.readline())
        files = [self._folder / f"{rank}.pickle" for rank in range(size)]
        return Ended(codes, [pickle.loads(file.read_bytes()) if file.exists() else None for file in files])


@contextmanager
def together(folder: Path) -> Iterator[Together]:
    """Together, whose processes leave their values in a folder."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (
        (folder / "errors").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        ) as server,
    ):
        yield Together(server, folder)
        assert server.stdin is not None
        server.stdin.close()


def main(requests: IO[bytes]) -> None:
    import torch

    for name in (*IMPORTS, "torch.nn.parallel", "torch.distributed", "fastffdi.inference.predict"):
        importlib.import_module(name)
    torch.set_num_threads(1)
    while True:
        try:
            size, function, given, named, folder = pickle.load(requests)
        except EOFError:
            return
        port = free_port()
        processes = [_forked(rank, size, port, folder, function, given, named) for rank in range(size)]
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in processes]), flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _forked(
    rank: int,
    size: int,
    port: int,
    folder: Path,
    function: str,
    given: tuple[Any, ...],
    named: dict[str, Any],
) -> int:
    file = folder / f"{rank}.pickle"
    file.unlink(missing_ok=True)
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(120)  # should it wait for something that does not come
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ |= {name: str(number) for name, number in numbers.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    try:
        value = globals()[function](*given, **named)
    except BaseException as error:
        traceback.print_exc()
        value = error
    file.write_bytes(pickle.dumps(value))
    os._exit(0)


# What the processes do.


def train(
    settings: Any, dataset: Any, stop: int = 0, by: str = "term", rank: int = 1, record: Path | None = None
) -> Any:
    """Run to the end, or until `rank` gets SIGTERM or SIGKILL after so many batches; the results.

    `record` gets a line for each update: its number, its epoch, and this process's rows.
    """
    from fastffdi.training.preparation import prepare

    said: list[str] = []
    with closing(prepare(settings, dataset, said.append)) as experiment:
        world, trained = experiment.processes.world, []
        experiment.trainer.model.drop_rate = 0.3
        prepared, done = experiment.train.prepared, iter(range(1, 1000))

        def noting(batch: Any) -> Any:
            trained.append((experiment.trainer.optimiser.updates, batch.epoch, batch.rows.tolist()))
            return prepared(batch)

        def told(images: int, means: object) -> None:
            if record is not None:
                file = record / f"{world.size}-{world.rank}.jsonl"
                file.write_text("".join(f"{json.dumps(line)}\n" for line in trained))
            if next(done) == stop and world.rank == rank:
                os.kill(os.getpid(), signal.SIGKILL if by == "kill" else signal.SIGTERM)

        experiment.train.prepared = noting  # type: ignore[method-assign]
        begun = experiment.trainer.optimiser.updates
        try:
            return begun, list(experiment.run(told)), said
        except Exception as error:
            return begun, Error(type(error).__name__, str(error), getattr(error, "number", None)), said


def scores(settings: Any, dataset: Any) -> Any:
    """The scores of the validation images, the rows of this process, and the figures."""
    from fastffdi.inference.scoring import Scorer
    from fastffdi.training.preparation import prepare
    from fastffdi.training.shared import scored

    with closing(prepare(settings, dataset, lambda line: None)) as experiment:
        trainer, val = experiment.trainer, experiment.val
        scorer, count = Scorer(trainer.model, trainer.precision), len(dataset.val)
        score = scored(experiment.processes, lambda: {"raw": scorer(val, count)}, val, count, trainer.stop)
        given = score["raw"]
        return given, val.backend.planner.sampler.epoch(0)[0], sorted(val.corrupt)


def gradients(settings: Any, dataset: Any) -> Any:
    """Of the first batch, where BatchNorm does not depend on it: by name, and how many images it is of."""
    from fastffdi.training.preparation import prepare
    from fastffdi.training.shared import weighed

    with closing(prepare(settings, dataset, lambda line: None)) as experiment:
        trainer = experiment.trainer
        trainer.model.eval()
        batch = experiment.train.prepared(next(experiment.train.batches(0)))
        assert trainer.eager is not None
        mean, *_, count = trainer.eager(*batch)
        weighed(trainer.processes, mean, count)[0].backward()
        return {name: weight.grad for name, weight in trainer.model.named_parameters()}, int(count)


def updated(settings: Any, dataset: Any) -> Any:
    """The weights after one epoch, where BatchNorm does not depend on batches, and the gradient's norm."""
    from fastffdi.training.preparation import prepare

    with closing(prepare(settings, dataset, lambda line: None)) as experiment:
        model = experiment.trainer.model
        for module in model.modules():
            if "norm" in type(module).__name__.lower():
                module.train = lambda mode=True, module=module: module  # type: ignore[method-assign,assignment]
                module.training = False
        (result,) = experiment.run(lambda images, means: None)
        return dict(model.named_parameters()), result.gradient_norm


def predict(checkpoint: Any, manifest: Any, **more: Any) -> Any:
    from fastffdi.inference.predict import Predictor
    from fastffdi.loaders.settings import LoaderSettings
    from fastffdi.model.processes import Processes

    with Processes.join() as processes:
        predictor = Predictor(
            checkpoint,
            device="cpu",
            amp="off",
            loading=LoaderSettings(1, 4),
            on_corrupt="skip",
            processes=processes,
            **more,
        )
        return predictor(manifest), predictor.reasons


def table(words: list[str], folder: Path, listed: bytes, kill: tuple[int, float] | None = None) -> Any:
    """`fastffdi predict` in a folder, with a list on standard input; scores are kept after every batch.

    `kill` is after how many of these times, and how many seconds then, SIGKILL comes. It gives the exit code.
    """
    import io
    import threading
    import types

    import numpy as np

    from fastffdi.cli.main import main
    from fastffdi.inference import predict
    from fastffdi.inference.parts import Parts

    add, seen = Parts.add, []

    def adding(parts: Parts, rows: Any, *scores: Any) -> None:
        seen.extend([*rows] if seen else [*parts.known.rows, *rows])
        assert len(np.unique(seen)) == len(seen), "a row is scored twice"
        add(parts, rows, *scores)
        if kill is not None and parts._number == kill[0] + begun:
            threading.Timer(kill[1], os.kill, (os.getpid(), signal.SIGKILL)).start()

    os.chdir(folder)
    output = Path(words[words.index("--output") + 1])
    begun = len([*output.with_name(f"{output.name}.parts").glob(f"{os.environ['RANK']:0>4}-*.scores")])
    predict.SECONDS = 0.0  # type: ignore[assignment]
    Parts.add = adding  # type: ignore[method-assign]
    sys.argv, sys.stdout = ["fastffdi", "predict", *words], sys.stderr  # as the other is main's
    sys.stdin = types.SimpleNamespace(buffer=io.BytesIO(listed))  # type: ignore[assignment]
    try:
        main()
    except SystemExit as ended:
        return ended.code
    return 0


def collectives() -> Any:
    """What a Processes's methods give."""
    import torch
    from torch import nn

    from fastffdi.errors import SettingError
    from fastffdi.model.processes import Processes

    def refuses() -> None:
        raise SettingError("refused")

    with Processes.join() as processes:
        rank = processes.world.rank
        norm = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        torch.nn.init.constant_(norm[0].weight, rank)
        norm[1].running_mean.fill_(rank)
        found = {
            "first": processes.first(lambda: rank + 5),
            "only_first": processes.only_first(lambda: rank + 5),
            "all": processes.all(rank),
            "sum": processes.sum(torch.tensor([rank, 1.0])).tolist(),
            "most": processes.most(rank, -rank),
        }
        processes.average_statistics(norm)
        found["mean"] = norm[1].running_mean.tolist()
        found["before"] = norm[0].weight.flatten().unique().tolist()
        processes.align(norm)
        found["after"] = norm[0].weight.flatten().unique().tolist()
        try:
            processes.first(refuses)
        except SettingError as error:
            found["error"] = str(error)
        return found


if __name__ == "__main__":
    import together as itself  # so that the classes of what it gives have their module's name

    itself.main(sys.stdin.buffer)
