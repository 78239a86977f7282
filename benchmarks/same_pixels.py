"""Whether the present tree makes the same of images as a commit does, bit for bit.

    python benchmarks/same_pixels.py COMMIT

For changes that must not change an output. It writes some JPEG and PNG images of its own, checks COMMIT out
into a temporary folder, and has both trees make of the images, on the CPU:

    every shipped recipe, train and eval, by the cpu and the dali loader, or that they refuse; the normalised
    batch where the device stage does all that it can; the mixed batch; a balanced epoch; images decoded to
    a smaller scale, and from a full cache; the scores of a small random model

Not seen is what shipped recipes never do: Erase, and Flip, Resize and Python in the device stage. For those
there is tests/test_parity.py.

Prints a line for each array that differs, then `same: …` (exit code 0) or `different: …` (exit code 1). It
takes a minute or two, and 1.5 GB in the temporary folder. Nothing is kept for another run: vector
instructions of another machine may round differently.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from package_names import MODEL, SEED, Arrays, Package, adapter
from PIL import ExifTags, Image

ROOT = Path(__file__).resolve().parents[1]


def collect(tree: Path, folder: Path, file: Path) -> None:
    """Write to `file` what the package in `tree`, which must be first on the path, makes of the images."""
    import timm

    import fastffdi

    assert Path(fastffdi.__file__).resolve().is_relative_to(tree.resolve()), fastffdi.__file__
    torch.set_num_threads(1)  # sums of floats depend on how they are shared out
    names = np.array(sorted(os.listdir(folder)), object)
    rows, arrays = np.arange(len(names)), Arrays()
    package, lopsided = (adapter()(folder, names, labels) for labels in (rows % 2, rows % 3 // 2))
    for recipe, part in itertools.product(package.recipes(), ("train", "eval")):
        for loader, epoch in itertools.product(("cpu", "dali"), (0, 1)):
            arrays |= batches(package, recipe, part, loader, epoch)
        finished = package.finished(recipe, part)
        arrays |= {f"{recipe} {part} {kind}": array for kind, array in finished.items()}
    arrays |= batches(lopsided, "jitter", "train", "cpu", 0, count=len(names), balance=True)
    arrays |= batches(package, "jitter", "train", "cpu", 0, scaled=True)
    torch.manual_seed(SEED)
    model = timm.create_model(MODEL, num_classes=2)
    with tempfile.TemporaryDirectory() as scratch:
        for recipe in ("jitter", "forensic"):
            arrays |= batches(package, recipe, "train", "cpu", 0, cache=Path(scratch))
        for recipe in ("standard", "ten_crop_eval"):
            arrays[f"{recipe} scores"] = package.scores(recipe, model, Path(scratch, "model"))
    np.savez(file, **arrays)


def batches(
    package: Package, recipe: str, part: str, loader: str, epoch: int, count: int = 3, **how: Any
) -> Arrays:
    """The arrays of the first batches by name, or the word "refused"."""
    name = " ".join([recipe, part, loader, *how, f"epoch {epoch}"])
    with contextlib.closing(package.batches(recipe, part, loader, epoch, **how)) as given:
        taken = enumerate(itertools.islice(given, count))
        arrays = {f"{name} batch {k} {kind}": array for k, batch in taken for kind, array in batch.items()}
    return arrays or {name: np.array("refused")}


def write_images(folder: Path) -> None:
    """40 JPEGs and 4 PNGs, gradients under noise; some of every kind are among the first."""
    folder.mkdir()
    rng = np.random.default_rng(SEED)
    for k in range(44):
        width, height = rng.integers(300, 701, 2).tolist()
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
        noisy = (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)
        image, exif = Image.fromarray(noisy).convert("L" if k == 5 else "RGB"), Image.Exif()
        if k % 2:
            exif[ExifTags.Base.Orientation] = k // 2 % 8 + 1
        kind: dict[str, Any] = {"quality": 70 + k % 4 * 8, "subsampling": k % 3, "progressive": k % 5 == 0}
        image.save(folder / f"{k:02d}.{'png' if k % 11 == 3 else 'jpg'}", exif=exif, **kind)


def difference(before: np.ndarray | None, after: np.ndarray | None) -> str:
    """How two arrays differ, in a few words; empty where they are the same bits. None: there is none."""
    if before is None or after is None or before.dtype != after.dtype or before.shape != after.shape:
        return f"{_described(before)} in the commit, {_described(after)} now"
    # By bytes: equality would tell NaN from itself, and not 0.0 from −0.0.
    one, other = (np.frombuffer(array.tobytes(), np.uint8) for array in (before, after))
    differ = (one != other).reshape(-1, before.itemsize).any(axis=1)
    if not differ.any():
        return ""
    most = np.abs(before.astype(np.float64) - after.astype(np.float64)).max()
    return f"{differ.sum():,} of {differ.size:,} values differ, by at most {most:g}"


def _described(array: np.ndarray | None) -> str:
    if array is None:
        return "absent"
    return str(array) if array.dtype.kind == "U" else f"{array.dtype} {array.shape}"


def report(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], commit: str) -> int:
    """Print what differs, and how much is the same; the exit code."""
    names, values, different = sorted({*before, *after}), 0, 0
    for name in names:
        old, new = before.get(name), after.get(name)
        values += 0 if new is None else new.size
        if found := difference(old, new):
            different += 1
            print(f"{name}: {found}")
    if different:
        print(f"different: {different:,} of {len(names):,} arrays")
    else:
        print(f"same: {len(names):,} arrays, {values:,} values, {commit} against the present tree")
    return int(different > 0)


def collected(tree: Path, folder: Path, scratch: Path) -> Mapping[str, np.ndarray]:
    """What a tree makes of the images; by another process, since one imports one package of a name."""
    scratch.mkdir()
    path = os.pathsep.join(filter(None, [str(tree), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "FASTFFDI_CACHE": str(scratch)}
    words = [sys.executable, __file__, str(tree), "--collect", str(folder), str(scratch / "arrays.npz")]
    if subprocess.run(words, env=environment).returncode:
        sys.exit(f"same_pixels.py: {tree}: failed as said above; nothing was compared")
    return np.load(scratch / "arrays.npz")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("commit", metavar="COMMIT", help="what the present tree is compared with")
    parser.add_argument("--collect", nargs=2, type=Path, help=argparse.SUPPRESS)  # COMMIT is a tree then
    options = parser.parse_args()
    if options.collect:
        collect(Path(options.commit), *options.collect)
        return 0
    git, commit = ["git", "-C", str(ROOT)], options.commit
    known = [*git, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"]
    if subprocess.run(known, capture_output=True).returncode:
        print(f"same_pixels.py: {commit}: no such commit; `git log` names them", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder, tree = scratch / "images", scratch / "tree"
        write_images(folder)
        subprocess.run([*git, "worktree", "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            before = collected(tree, folder, scratch / "before")
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(tree)], check=True)
        return report(before, collected(ROOT, folder, scratch / "after"), commit)


if __name__ == "__main__":
    sys.exit(main())
