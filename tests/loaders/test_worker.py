import pickle
import queue
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fastffdi.data.manifest import Manifest
from fastffdi.data.order import Order
from fastffdi.errors import UndecodablePicture
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.feed import Feed
from fastffdi.loaders.orders import Answer, Begin, Free, Orders
from fastffdi.loaders.ring import Ring
from fastffdi.loaders.source import Files
from fastffdi.loaders.worker import Job, Worker
from fastffdi.recipe.plan import Plan
from fastffdi.recipe.steps import STEPS

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS_HERE = (STEPS["random_resized_crop"]((12, 16)), STEPS["normalize"]((0.5,) * 3, (0.5,) * 3))
SLOTS = 4


@pytest.fixture
def feed(pictures: Manifest) -> Feed:
    return Feed(pictures, Order(len(pictures), 3), Plan(3), STEPS_HERE, 4)


@contextmanager
def at_work(feed: Feed) -> Iterator[tuple[Orders, "queue.Queue[Answer]", torch.Tensor]]:
    """A worker on a thread: its orders, its answers, its slots."""
    orders, answers = Orders(SLOTS), queue.Queue()
    job = Job(feed, 2, True, 2, (SLOTS, feed.batch_size, 12, 16, 3))
    with tempfile.TemporaryFile() as memory:
        slots = Ring(memory, job.shape).slots
        worker = Worker(job, memory, orders, answers.put)
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield orders, answers, slots
    orders.end()
    thread.join(20)
    assert not thread.is_alive()


def answered(answers: "queue.Queue[Answer]") -> Answer:
    return answers.get(timeout=20)


def test_slots_hold_the_cpu_loaders_batches_in_order(feed: Feed):
    with at_work(feed) as (orders, answers, slots):
        orders.put(Begin(1, 2, 0))
        for batch in CpuLoader(feed, 1).epoch(2):
            answer = answered(answers)
            assert (answer.generation, answer.error) == (1, None)
            assert torch.equal(slots[answer.slot, : len(batch)], batch.images)
            orders.put(Free(answer.slot))


def test_it_waits_for_slots_with_two_batches_told_of(feed: Feed):
    with at_work(feed) as (orders, answers, _):
        orders.put(Begin(1, 0, 0))
        first, second = answered(answers), answered(answers)
        with pytest.raises(queue.Empty):
            answers.get(timeout=0.1)
        orders.put(Free(first.slot))
        assert answered(answers).slot not in (first.slot, second.slot)


def test_an_epoch_given_up_keeps_only_the_slots_it_told_of(feed: Feed):
    with at_work(feed) as (orders, answers, slots):
        orders.put(Begin(1, 0, 0))
        kept = [answered(answers).slot for _ in range(2)]
        orders.put(Begin(2, 1, 4))
        for slot in kept:
            orders.put(Free(slot))
        for batch in CpuLoader(feed, 1).epoch(1, 4):
            answer = answered(answers)
            assert answer.generation == 2
            assert torch.equal(slots[answer.slot, : len(batch)], batch.images)


def test_a_bad_picture_is_told_of_in_its_turn_and_the_next_epoch_is_rendered(feed: Feed, tmp_path: Path):
    root = tmp_path / "copy"
    shutil.copytree(feed.manifest.root, root)
    (root / "09.jpg").write_bytes(b"no picture")
    spoilt = replace(
        feed, manifest=replace(feed.manifest, root=str(root)), order=replace(feed.order, shuffle=False)
    )
    with at_work(spoilt) as (orders, answers, _):
        orders.put(Begin(1, 0, 1))
        orders.put(Free(answered(answers).slot))
        error = answered(answers).error
        assert isinstance(error, UndecodablePicture)
        assert error.path == str(root / "09.jpg")
        orders.put(Begin(2, 0, 3))
        assert answered(answers).generation == 2


@pytest.mark.parametrize("names", [["a.jpg", "sub/b c.png", "bad\udcff.jpg", "new\nline.jpg"], ["a"], []])
def test_a_job_arrives_as_it_was_sent(names: list[str], feed: Feed):
    manifest = Manifest("/data", np.array(names, object), np.arange(len(names)))
    sent = Job(replace(feed, manifest=manifest, source=Files(True)), 3, False, 5, (7, 4, 12, 16, 3))
    job = pickle.loads(pickle.dumps(sent))
    assert job.feed.manifest.names.tolist() == names
    assert job.feed.manifest.names.dtype == object
    assert np.array_equal(job.feed.manifest.labels, manifest.labels)
    assert (job.feed.steps, job.feed.source) == (feed.steps, Files(True))
    assert (job.threads, job.beyond, job.ahead, job.shape) == (3, False, 5, (7, 4, 12, 16, 3))


def test_labels_of_manifest_and_order_travel_once(feed: Feed):
    labels = np.zeros(100_000, np.int64)
    manifest = Manifest("/data", np.array(["a"] * len(labels), object), labels)
    job = Job(replace(feed, manifest=manifest, order=Order(100_000, labels=labels)), 1, True, 2, (4, 1))
    assert len(pickle.dumps(job)) < 1.5 * labels.nbytes
