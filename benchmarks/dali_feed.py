"""What feeding DALI costs on the thread that trains: the external source's arrays, without any decoding.

    python benchmarks/dali_feed.py [--pipeline jitter] [--batch-size 256] [--repeats 300]

Prints milliseconds per batch, median and interquartile range:

    lower      the random numbers, and the program made from them
    arrays     the path matrix and the operators' arguments
    run        `Pipeline.run()` of a graph that only takes the arrays
    feed       arrays and run together
    all        lower, arrays and run together
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import numpy as np
from nvidia.dali import Pipeline, fn, types

from fastffdi.bench.stopwatch import Quartiles
from fastffdi.data.manifest import Manifest
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model.backbone import load_recipe
from fastffdi.render.dali import Arrays, arguments, can_render, path_matrix
from fastffdi.render.split import split

_ROWS, _WARMUP = 10_000, 20
_DTYPES = {"uint8": types.UINT8, "int32": types.INT32, "float32": types.FLOAT}


@click.command()
@click.option("--pipeline", default="jitter", show_default=True)
@click.option("--batch-size", default=256, show_default=True)
@click.option("--repeats", default=300, show_default=True)
def main(pipeline: str, batch_size: int, repeats: int) -> None:
    """Print what feeding DALI costs."""
    # No file is opened: the images do not exist.
    names = np.array([f"trainset/{k:08d}.jpg" for k in range(_ROWS)], object)
    sizes = np.random.default_rng(0).integers(200, 701, (_ROWS, 2)).astype(np.int32)
    manifest = Manifest("/data/faces", names, sizes=sizes)
    settings = LoaderSettings(batch_size=batch_size)
    planner = BatchPlanner.over(manifest, load_recipe(pipeline).train, settings, shuffle=True)
    fixed = planner.template[1]
    rendered = split(fixed, can_render, "dali")
    plan = next(planner.epoch(0))

    def lower() -> Arrays:
        program = planner.plan(0, plan.rows, plan.repeats).program
        return arguments(rendered.loader(program), fixed)

    def arrays() -> Arrays:
        return path_matrix(manifest.paths(plan.rows)), *arguments(rendered.loader(plan.program), fixed)

    def everything() -> Arrays:
        return path_matrix(manifest.paths(plan.rows)), *lower()

    ready = arrays()
    print(f"{pipeline}, batches of {batch_size}, {len(ready)} arrays; ms per batch")
    measured: dict[str, Callable[[], object]] = {
        "lower": lambda: planner.plan(0, plan.rows, plan.repeats),
        "arrays": arrays,
        "run": _fed(lambda: ready, ready),
        "feed": _fed(arrays, ready),
        "all": _fed(everything, ready),
    }
    for name, call in measured.items():
        found = Quartiles.of([_milliseconds(call) for _ in range(_WARMUP + repeats)][_WARMUP:])
        print(f"{name:8s} {found.median:.3f}  ({found.q25:.3f} to {found.q75:.3f})")


def _fed(source: Callable[[], Arrays], examples: Arrays) -> Callable[[], object]:
    """A run of a pipeline that only takes arrays like the examples from the source."""
    pipeline = Pipeline(batch_size=len(examples[0]), num_threads=1, device_id=None)
    dtypes = [_DTYPES[array.dtype.name] for array in examples]
    dimensions = [array.ndim - 1 for array in examples]
    with pipeline:
        pipeline.set_outputs(
            *fn.external_source(source, num_outputs=len(examples), batch=True, dtype=dtypes, ndim=dimensions)
        )
    return pipeline.run


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
