"""A data set of label files with a further column."""

from collections.abc import Sequence
from pathlib import Path

from fastffdi.data.labels import read_labels
from fastffdi.data.layout import Dataset


def with_column(folder: Path, column: str, train: Sequence[str], val: Sequence[str]) -> Dataset:
    """Of rows such as `a.jpg,0,camera`, whose images are empty files; the label files are written too."""
    parts = []
    for split, rows in (("train", train), ("val", val)):
        images = folder / f"{split}set"
        images.mkdir()
        for row in rows:
            (images / row.split(",")[0]).touch()
        file = folder / f"{split}.csv"
        file.write_text("\n".join([f"img_name,target,{column}", *rows]))
        parts.append(read_labels(file, images, targets="required", duplicates=True))
    return Dataset(*parts, f"{column}s")
