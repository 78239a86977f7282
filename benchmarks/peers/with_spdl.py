"""SPDL: decoding and resizing by FFmpeg in threads.

After https://github.com/facebookresearch/spdl/blob/main/examples/multi_thread_preprocessing.py; the flip is
one more FFmpeg filter.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import spdl.io
import torch
import turns
from spdl.pipeline import PipelineBuilder
from torchvision.transforms import Normalize


def main() -> None:
    options = turns.parser(__doc__, ("resize",)).parse_args()
    pipeline = (
        PipelineBuilder()
        .add_source(shuffled(turns.images(options.folder)))
        .pipe(decode, concurrency=options.threads)
        .aggregate(options.batch_size)
        .pipe(batch)
        .pipe(normalize)
        .add_sink(options.threads)
        .build(num_threads=options.threads)
    )
    with pipeline.auto_stop():
        # The sink's, two in each of three queues before it, and one in each stage's hands.
        turns.serve(pipeline, options, ahead=options.threads + 6 + 4)


def shuffled(paths: list[str]) -> Iterator[str]:
    while True:
        yield from random.sample(paths, len(paths))


PLAIN, FLIPPED = (
    spdl.io.get_video_filter_desc(
        scale_width=turns.SIZE, scale_height=turns.SIZE, scale_mode=None, filter_desc=flip
    )
    for flip in (None, "hflip")
)


def decode(path: str) -> Any:
    return spdl.io.decode_packets(spdl.io.demux_image(path), filter_desc=random.choice((PLAIN, FLIPPED)))


def batch(frames: list[Any]) -> torch.Tensor:
    return spdl.io.to_torch(spdl.io.convert_frames(frames)).permute(0, 3, 1, 2)


def normalize(images: torch.Tensor) -> torch.Tensor:
    return Normalize(turns.MEAN, turns.STD)(images.float() / 255)


if __name__ == "__main__":
    main()
