"""Predictors for tests, on the CPU, and the scores that they give."""

from fastffdi.inference.predict import Predictor
from fastffdi.loaders.settings import LoaderSettings


def predictor_of(path, loader="cpu", threads=1, batch_size=8, amp="off"):
    loading = LoaderSettings(threads, batch_size)
    return Predictor(path, device="cpu", amp=amp, backend=loader, loading=loading)


def scored(best, manifest, loader="cpu", threads=1, batch_size=8, amp="off"):
    return predictor_of(best, loader, threads, batch_size, amp)(manifest)


def viewed(path, manifest, batch_size=20, threads=2, backend="cpu", **more):
    """The scores of a checkpoint, or several, with any further arguments of Predictor."""
    loading = LoaderSettings(threads, batch_size)
    return Predictor(path, device="cpu", amp="off", backend=backend, loading=loading, **more)(manifest)
