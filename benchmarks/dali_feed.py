"""What feeding DALI costs on the thread that trains: the external source's arrays, without any decoding.

    python benchmarks/dali_feed.py [--pipeline jitter] [--batch-size 256] [--repeats 300]

Prints milliseconds per batch, median and interquartile range:

    lower      the plan's numbers and the program made from them
    arrays     the path matrix and the operators' arguments
    run        `Pipeline.run()` of a graph that only takes the arrays
    feed       arrays and run together
    all        lower, arrays and run together
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from nvidia.dali import Pipeline, fn, types

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.recipe import recipe
from fastffdi.recipe.lowering import template
from fastffdi.recipe.rng import CounterRNG
from fastffdi.render.dali import Arrays, arguments, can_render, path_matrix
from fastffdi.render.split import cut

_ROWS = 10_000
_DTYPES = {"uint8": types.UINT8, "int32": types.INT32, "float32": types.FLOAT}


def main() -> None:
    options = _options()
    planner = _feed(options.pipeline, options.batch_size)
    fixed = template(planner.steps)
    count = cut(fixed, can_render, "dali")
    rows, repeats = (part[: options.batch_size] for part in planner.sampler.epoch(0))
    work = planner.work(0, rows, repeats)

    def arrays() -> Arrays:
        return path_matrix(planner.manifest.paths(rows)), *arguments(work.program, fixed, count)

    def everything() -> Arrays:
        lowered = planner.work(0, rows, repeats)
        return path_matrix(planner.manifest.paths(rows)), *arguments(lowered.program, fixed, count)

    ready = arrays()
    print(f"{options.pipeline}, batches of {options.batch_size}, {len(ready)} arrays; ms per batch")
    measured = {
        "lower": lambda: planner.work(0, rows, repeats),
        "arrays": arrays,
        "run": _taking(lambda: ready, ready),
        "feed": _taking(arrays, ready),
        "all": _taking(everything, ready),
    }
    for name, call in measured.items():
        low, median, high = _quartiles(call, options.repeats)
        print(f"{name:8s} {median:.3f}  ({low:.3f} to {high:.3f})")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pipeline", default="jitter")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=300)
    return parser.parse_args()


def _feed(pipeline: str, batch_size: int) -> BatchPlanner:
    """A feed of images that are not there: no file is opened."""
    names = np.array([f"trainset/{k:08d}.jpg" for k in range(_ROWS)], object)
    sizes = np.random.default_rng(0).integers(200, 701, (_ROWS, 2)).astype(np.int32)
    manifest = Manifest("/data/faces", names, sizes=sizes)
    steps = recipe.load(pipeline).resolve((256, 256), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).train
    return BatchPlanner(manifest, Sampler(_ROWS), CounterRNG(0), steps, batch_size)


def _taking(source: Callable[[], Arrays], examples: Arrays) -> Callable[[], object]:
    dtypes = [_DTYPES[array.dtype.name] for array in examples]
    pipeline = Pipeline(batch_size=len(examples[0]), num_threads=1, device_id=None)
    with pipeline:
        dimensions = [array.ndim - 1 for array in examples]
        pipeline.set_outputs(
            *fn.external_source(source, num_outputs=len(examples), batch=True, dtype=dtypes, ndim=dimensions)
        )
    return lambda: pipeline.run()


def _quartiles(call: Callable[[], object], repeats: int) -> np.ndarray:
    for _ in range(20):
        call()
    seconds = np.empty(repeats)
    for k in range(repeats):
        began = time.perf_counter()
        call()
        seconds[k] = time.perf_counter() - began
    return np.percentile(1e3 * seconds, [25, 50, 75])


if __name__ == "__main__":
    main()
