"""Puts folders of files through every loader, and faults to every command; `make torture` runs it.

    python -m torture FOLDER… [--page docs/reliability.md] [--tries 5] [--loaders cpu,dali] [--no-faults]

Exit code 1 where anything went wrong. A file is all right where a loader decodes it as Pillow does, within 2
levels on average, or names it as one that cannot be decoded; in at most two seconds, in a process that may
hold 2 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from torture import page
from torture.files import ROOT, files_below, torture
from torture.matrix import Place, Row, rows
from torture.reader import LOADERS
from torture.vanishing import FAULTS

#: Moments at which commands are disturbed are at random up to so many seconds after their start.
SECONDS = 12.0


def main(words: Sequence[str] | None = None) -> int:
    """Run what the words ask for; the exit code."""
    asked = _asked(words)
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        folder = Path(place)
        paths = files_below(asked.folders)
        found = torture(paths, folder, asked.loaders, asked.gib, _said(len(paths)))
        vanished = [] if asked.no_faults else list(_vanished(folder, asked.loaders))
        faults = [] if asked.no_faults else list(_disturbed(folder, asked.tries))
    text = page.text(asked.folders, len(paths), found, vanished, faults, asked.gib)
    if asked.page is not None:
        asked.page.write_text(text, encoding="utf-8")
    print(text if asked.page is None else f"wrote {asked.page}")
    wrong = page.wrong(paths, found, [*vanished, *faults])
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("torture", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--page", type=Path, help="Markdown file to write; else it is printed")
    parser.add_argument("--tries", type=int, default=5, help="of each fault; 5")
    parser.add_argument("--gib", type=float, default=2.0, help="that a process may hold; 2")
    parser.add_argument("--loaders", type=lambda text: text.split(","), default=list(LOADERS))
    parser.add_argument("--no-faults", action="store_true", help="files only")
    return parser.parse_args(words)


def _said(count: int) -> Callable[[str, int], None]:
    def said(name: str, done: int) -> None:
        if done % 100 == 99 or done == count - 1:
            print(f"{name}: {done + 1} of {count} files", file=sys.stderr, flush=True)

    return said


def _vanished(folder: Path, loaders: Sequence[str]) -> list[Row]:
    from fastffdi.demo.dataset import demo_folder

    found = []
    for fault in FAULTS:
        for name in loaders:
            place = Path(tempfile.mkdtemp(dir=folder))
            words = ["-m", "torture.vanishing", name, fault, str(demo_folder() / "valset"), str(place)]
            env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
            run = subprocess.run(
                [sys.executable, *words], capture_output=True, text=True, env=env, timeout=300
            )
            row = Row(f"files {fault} in mid-epoch", f"loader {name}")
            row.seconds.append(0.0)
            if run.returncode:
                row.faults.append(run.stderr.strip().splitlines()[-1])
            else:
                told = json.loads(run.stdout.splitlines()[-1])
                row.seconds[0] = told["slowest"]
                if told["lost"] or not told["noticed"]:
                    row.faults.append(f"{told['lost']} rows lost, {told['noticed']} noticed")
            found.append(row)
        print(f"files {fault}: done", file=sys.stderr, flush=True)
    return found


def _disturbed(folder: Path, tries: int) -> list[Row]:
    from fastffdi.demo.dataset import demo_folder

    data, recipe, run = demo_folder(), ROOT / "pipelines" / "demo.yaml", folder / "run"
    kind = ("--pipeline", recipe, "--backbone", "test_efficientnet", "--no-pretrained", "--device", "cpu")
    words = ["train", "--data", data, "-o", run, "--epochs", "1", "--limit", "32", *kind]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-m", "fastffdi", *map(str, words)], check=True, env=env, capture_output=True
    )
    found = []
    for row in rows(Place(data, run / "best.safetensors", recipe, folder), tries, SECONDS):
        print(
            f"{row.fault}, {row.command}: {row.survived} of {len(row.seconds)}", file=sys.stderr, flush=True
        )
        found.append(row)
    return found


if __name__ == "__main__":
    sys.exit(main())
