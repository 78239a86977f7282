"""DALI as in its ResNet-50 example, with `--dali_cpu` and without the last step, which is on the GPU.

After https://github.com/NVIDIA/DALI/blob/main/docs/examples/use_cases/pytorch/resnet50/main.py. `rrc` is the
example's training graph; `resize` its validation graph with the image resized whole, and the training
graph's flip.
"""

from __future__ import annotations

from typing import Any

import turns
from nvidia.dali import fn, types
from nvidia.dali.pipeline import pipeline_def
from nvidia.dali.plugin.pytorch import DALIClassificationIterator, LastBatchPolicy


@pipeline_def
def create_dali_pipeline(files: list[str], recipe: str) -> tuple[Any, Any]:
    images, labels = fn.readers.file(
        files=files, labels=[0] * len(files), random_shuffle=True, pad_last_batch=True, name="Reader"
    )
    if recipe == "rrc":
        images = fn.decoders.image_random_crop(
            images,
            device="cpu",
            output_type=types.RGB,
            random_aspect_ratio=[0.8, 1.25],
            random_area=[0.1, 1.0],
            num_attempts=100,
        )
    else:
        images = fn.decoders.image(images, device="cpu", output_type=types.RGB)
    images = fn.resize(
        images,
        device="cpu",
        resize_x=turns.SIZE,
        resize_y=turns.SIZE,
        interp_type=types.INTERP_TRIANGULAR,
    )
    images = fn.crop_mirror_normalize(
        images,
        dtype=types.FLOAT,
        output_layout="CHW",
        crop=(turns.SIZE, turns.SIZE),
        mean=[255 * value for value in turns.MEAN],
        std=[255 * value for value in turns.STD],
        mirror=fn.random.coin_flip(probability=0.5),
    )
    return images, labels


def main() -> None:
    options = turns.parser(__doc__, ("resize", "rrc")).parse_args()
    pipeline = create_dali_pipeline(
        turns.again(turns.images(options.folder)),
        options.recipe,
        batch_size=options.batch_size,
        num_threads=options.threads,
        device_id=None,
        seed=12,
    )
    loader = DALIClassificationIterator(
        pipeline, reader_name="Reader", last_batch_policy=LastBatchPolicy.PARTIAL, auto_reset=True
    )
    turns.serve((batch["data"] for batch in turns.forever(loader)), options, ahead=4)


if __name__ == "__main__":
    main()
