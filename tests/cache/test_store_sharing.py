"""A store that threads and processes use at the same time."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from stored_images import IDENTITY, made

from fastffdi.cache.store import Store


def test_many_threads_may_put_and_get(tmp_path: Path) -> None:
    store = made(tmp_path / "store", np.full((50, 2), 24))
    images = [np.random.default_rng(k).integers(0, 256, (24, 24, 3), dtype=np.uint8) for k in range(50)]

    def visit(turn: int) -> bool:
        k = turn * 7 % 50
        found = store.get(k, IDENTITY)
        store.put(k, IDENTITY, images[k])
        return found is None or np.array_equal(found, images[k])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(visit, range(600)))
    assert store.stored == 50


FILL = """
import sys
from pathlib import Path
import numpy as np
from fastffdi.cache.store import Store
print("ready", flush=True)
sys.stdin.readline()
first, last, seed = map(int, sys.argv[2:])
order = np.random.default_rng(seed).permutation(np.arange(first, last))
store = Store.make(Path(sys.argv[1]), {})
paths = np.array([b"image %d" % k for k in order], "S16")
records = store.reserve(paths, np.full((len(order), 2), 16))
for k, record in zip(order.tolist(), records.tolist()):
    store.put(record, (k, k), np.full((16, 16, 3), k, np.uint8))
    print(k, flush=True)
sys.stdin.readline()
"""


def filling(folder: Path, first: int, last: int, seed: int) -> subprocess.Popen:
    """A process that puts some of 200 images into a store, in an order of its own, once it is sent a line."""
    words = [sys.executable, "-c", FILL, str(folder), *map(str, (first, last, seed))]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def whole(folder: Path) -> list[int]:
    """Which of the images are there, each checked."""
    store = Store(folder)
    records = store.reserve(np.array([b"image %d" % k for k in range(200)], "S16"), np.full((200, 2), 16))
    found = [(k, store.get(record, (k, k))) for k, record in enumerate(records.tolist())]
    assert all((image == k).all() for k, image in found if image is not None)
    return [k for k, image in found if image is not None]


def test_two_processes_may_fill_a_store_at_once_from_lists_that_overlap(tmp_path: Path) -> None:
    both = [filling(tmp_path / "store", *part) for part in ((0, 150, 1), (100, 200, 2))]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        process.communicate("\n")
        assert process.returncode == 0
    assert whole(tmp_path / "store") == list(range(200))
    assert len(Store(tmp_path / "store")) == 200
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_killed_process_loses_at_most_the_image_it_was_at(tmp_path: Path) -> None:
    with filling(tmp_path / "store", 0, 200, 3) as process:
        process.stdin.write("\n")
        process.stdin.flush()
        _, *numbers = [process.stdout.readline() for _ in range(60)]
        process.kill()
    there = whole(tmp_path / "store")
    assert {int(line) for line in numbers} <= set(there)
    with filling(tmp_path / "store", 0, 200, 4) as process:
        process.communicate("\n\n")
    assert whole(tmp_path / "store") == list(range(200))
