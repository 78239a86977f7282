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
from recipes import normalised

from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import UndecodableImage
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process.messages import BatchReady, Inbox, ReleaseSlot, StartEpoch
from fastffdi.loaders.process.ring import Ring
from fastffdi.loaders.process.worker import Job, Worker
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.render.cpu.decode import SourceDecoder

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS_HERE = normalised(STEPS["random_resized_crop"]((12, 16)))
SLOTS = 4


@pytest.fixture
def planner(image_files: Manifest) -> BatchPlanner:
    return BatchPlanner(image_files, Sampler(len(image_files), 3), CounterRNG(3), STEPS_HERE, 4)


@contextmanager
def at_work(planner: BatchPlanner) -> Iterator[tuple[Inbox, "queue.Queue[BatchReady]", torch.Tensor]]:
    """A worker on a thread: its inbox, its reports, its slots."""
    inbox, reports = Inbox(SLOTS), queue.Queue()
    job = Job(planner, LoaderSettings(2), True, (SLOTS, planner.batch_size, 12, 16, 3))
    with tempfile.TemporaryFile() as memory:
        slots = Ring(memory, job.shape).slots
        worker = Worker(job, memory, inbox, reports.put)
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield inbox, reports, slots
    inbox.end()
    thread.join(20)
    assert not thread.is_alive()


def reported(reports: "queue.Queue[BatchReady]") -> BatchReady:
    return reports.get(timeout=20)


def test_slots_hold_the_cpu_loaders_batches_in_order(planner: BatchPlanner):
    with at_work(planner) as (inbox, reports, slots):
        inbox.put(StartEpoch(1, 2, 0))
        for batch in CpuLoader(planner, LoaderSettings(1)).epoch(2):
            report = reported(reports)
            assert (report.generation, report.error) == (1, None)
            assert torch.equal(slots[report.slot, : len(batch)], batch.images)
            inbox.put(ReleaseSlot(report.slot))


def test_it_waits_for_slots_with_two_batches_told_of(planner: BatchPlanner):
    with at_work(planner) as (inbox, reports, _):
        inbox.put(StartEpoch(1, 0, 0))
        first, second = reported(reports), reported(reports)
        with pytest.raises(queue.Empty):
            reports.get(timeout=0.1)
        inbox.put(ReleaseSlot(first.slot))
        assert reported(reports).slot not in (first.slot, second.slot)


def test_an_epoch_given_up_keeps_only_the_slots_it_told_of(planner: BatchPlanner):
    with at_work(planner) as (inbox, reports, slots):
        inbox.put(StartEpoch(1, 0, 0))
        kept = [reported(reports).slot for _ in range(2)]
        inbox.put(StartEpoch(2, 1, 4))
        for slot in kept:
            inbox.put(ReleaseSlot(slot))
        for batch in CpuLoader(planner, LoaderSettings(1)).epoch(1, 4):
            report = reported(reports)
            assert report.generation == 2
            assert torch.equal(slots[report.slot, : len(batch)], batch.images)


def test_a_bad_image_is_told_of_in_its_turn_and_the_next_epoch_is_rendered(
    planner: BatchPlanner, tmp_path: Path
):
    root = tmp_path / "copy"
    shutil.copytree(planner.manifest.root, root)
    (root / "09.jpg").write_bytes(b"no image")
    spoilt = replace(
        planner,
        manifest=replace(planner.manifest, root=str(root)),
        sampler=replace(planner.sampler, shuffle=False),
    )
    with at_work(spoilt) as (inbox, reports, _):
        inbox.put(StartEpoch(1, 0, 1))
        inbox.put(ReleaseSlot(reported(reports).slot))
        error = reported(reports).error
        assert isinstance(error, UndecodableImage)
        assert error.path == str(root / "09.jpg")
        inbox.put(StartEpoch(2, 0, 3))
        assert reported(reports).generation == 2


def test_a_parent_that_has_ended_is_no_failure_and_is_told_of_no_further_batch(planner: BatchPlanner):
    inbox, reports = Inbox(SLOTS), []

    def send(report: BatchReady) -> None:
        reports.append(report)
        inbox.end()
        raise BrokenPipeError

    job = Job(planner, LoaderSettings(2), True, (SLOTS, planner.batch_size, 12, 16, 3))
    with tempfile.TemporaryFile() as memory:
        worker = Worker(job, memory, inbox, send)
    inbox.put(StartEpoch(1, 0, 4))  # its last two batches, both of which are begun at once
    worker.run()
    assert [report.generation for report in reports] == [1]


@pytest.mark.parametrize("names", [["a.jpg", "sub/b c.png", "bad\udcff.jpg", "new\nline.jpg"], ["a"], []])
def test_a_job_arrives_as_it_was_sent(names: list[str], planner: BatchPlanner):
    manifest = Manifest("/data", np.array(names, object), np.arange(len(names)))
    settings = LoaderSettings(3, prefetch=5)
    of_names = replace(planner, manifest=manifest, decoder=SourceDecoder(scaled=True))
    sent = Job(of_names, settings, False, (7, 4, 12, 16, 3))
    job = pickle.loads(pickle.dumps(sent))
    assert job.planner.manifest.names.tolist() == names
    assert job.planner.manifest.names.dtype == object
    assert np.array_equal(job.planner.manifest.labels, manifest.labels)
    assert (job.planner.steps, job.planner.decoder) == (planner.steps, SourceDecoder(scaled=True))
    assert (job.settings, job.beyond, job.shape) == (settings, False, (7, 4, 12, 16, 3))


def test_labels_of_manifest_and_order_travel_once(planner: BatchPlanner):
    labels = np.zeros(100_000, np.int64)
    manifest = Manifest("/data", np.array(["a"] * len(labels), object), labels)
    job = Job(
        replace(planner, manifest=manifest, sampler=Sampler(100_000, labels=labels)),
        LoaderSettings(1),
        True,
        (4, 1),
    )
    assert len(pickle.dumps(job)) < 1.5 * labels.nbytes
