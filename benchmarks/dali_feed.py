"""What feeding DALI costs on the thread that trains: the external source's arrays, without any decoding.

    python benchmarks/dali_feed.py [--pipeline jitter] [--batch-size 256] [--repeats 300]

Prints milliseconds per batch, median and interquartile range:

    lower      the random numbers and the program made from them
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
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model.backbone import load_recipe
from fastffdi.render.dali import Arrays, arguments, can_render, path_matrix
from fastffdi.render.split import split

_ROWS = 10_000
_DTYPES = {"uint8": types.UINT8, "int32": types.INT32, "float32": types.FLOAT}


@click.command()
@click.option("--pipeline", default="jitter", show_default=True)
@click.option("--batch-size", default=256, show_default=True)
@click.option("--repeats", default=300, show_default=True)
def main(pipeline: str, batch_size: int, repeats: int) -> None:
    """Print what feeding DALI costs, part by part."""
    planner = _planner(pipeline, batch_size)
    template = planner.template[1]
    rendered = split(template, can_render, "dali")
    rows, repeated = (part[:batch_size] for part in planner.sampler.epoch(0))

    def plan() -> BatchPlan:
        return planner.plan(0, rows, repeated)

    def arrays(of: BatchPlan) -> Arrays:
        return path_matrix(planner.manifest.paths(rows)), *arguments(
            rendered.loader(of.program), template, "gpu"
        )

    planned = plan()
    ready = arrays(planned)
    print(f"{pipeline}, batches of {batch_size}, {len(ready)} arrays; ms per batch")
    parts: dict[str, Callable[[], object]] = {
        "lower": plan,
        "arrays": lambda: arrays(planned),
        "run": _taking(lambda: ready, ready),
        "feed": _taking(lambda: arrays(planned), ready),
        "all": _taking(lambda: arrays(plan()), ready),
    }
    for name, call in parts.items():
        cost = Quartiles.of([_ms(call) for _ in range(20 + repeats)][20:])
        print(f"{name:8s} {cost.median:.3f}  ({cost.q25:.3f} to {cost.q75:.3f})")


def _planner(pipeline: str, batch_size: int) -> BatchPlanner:
    """A planner of images that do not exist: no file is opened."""
    names = np.array([f"trainset/{k:08d}.jpg" for k in range(_ROWS)], object)
    sizes = np.random.default_rng(0).integers(200, 701, (_ROWS, 2)).astype(np.int32)
    manifest = Manifest("/data/faces", names, sizes=sizes)
    return BatchPlanner.over(
        manifest, load_recipe(pipeline).train, LoaderSettings(1, batch_size), shuffle=True
    )


def _taking(source: Callable[[], Arrays], examples: Arrays) -> Callable[[], object]:
    """A run of a pipeline that only takes the source's arrays."""
    kinds = {
        "dtype": [_DTYPES[array.dtype.name] for array in examples],
        "ndim": [array.ndim - 1 for array in examples],
    }
    pipeline = Pipeline(batch_size=len(examples[0]), num_threads=1, device_id=None)
    with pipeline:
        pipeline.set_outputs(*fn.external_source(source, num_outputs=len(examples), batch=True, **kinds))
    return lambda: pipeline.run()


def _ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
