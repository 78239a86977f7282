"""How the model of a checkpoint is run: its precision, and compiled or not."""

import numpy as np
import pytest
import torch
from predictors import predictor_of, scored

from fastffdi.errors import SettingError
from fastffdi.inference import member, predict
from fastffdi.inference.predict import Predictor
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import checkpoint, compilation
from fastffdi.training.folder import BEST

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def cast(monkeypatch):
    """The models whose weights are cast; they stay as they are."""
    seen = []
    monkeypatch.setattr(member, "cast_weights", lambda model, numbers: (seen.append(numbers.name), model)[1])
    return seen


def test_weights_are_cast_once_and_scores_stay(best, val, request):
    found = scored(best, val, amp="bf16")
    names = request.getfixturevalue("cast")
    np.testing.assert_allclose(found, scored(best, val, amp="bf16"), atol=2e-3)
    assert names == ["bf16"]


@pytest.mark.parametrize(("amp", "dtype"), [("bf16", torch.bfloat16), ("off", torch.float32)])
def test_weights_are_in_the_dtype_that_is_computed_in(best, amp, dtype):
    model = predictor_of(best, amp=amp)._members[0].forward.model
    assert model.get_classifier().weight.dtype == dtype
    assert {parameter.dtype for parameter in model.parameters()} == {dtype, torch.float32}


@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_a_compiled_model_gives_the_same_scores(best, val, monkeypatch, amp):
    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": "aot_eager", "fullgraph": True})
    plain, fast = (
        Predictor(best, device="cpu", amp=amp, loading=LoaderSettings(1, 7), compile=compile)(val)
        for compile in (False, True)
    )
    np.testing.assert_allclose(fast, plain, atol=2e-3)


@pytest.mark.slow
def test_torchs_compiler_gives_the_same_scores(best, val, expected):
    fast = Predictor(best, device="cpu", amp="off", loading=LoaderSettings(1, 8), compile=True)
    np.testing.assert_allclose(fast(val), expected, atol=2e-3)


@pytest.mark.parametrize(("steps", "full"), [([], 4), ([{"five_crop": {"size": 16}}], 20)])
def test_batches_are_compiled_for_all_views_of_their_images(best, tmp_path, monkeypatch, steps, full):
    described, model = checkpoint.restore(best)
    described.recipe["eval"][1:1] = steps
    checkpoint.save(described, model, tmp_path / "views.safetensors")
    given = []
    monkeypatch.setattr(predict, "compiled_forward", lambda plain, *more: given.append(more) or plain)
    Predictor(tmp_path / "views.safetensors", device="cpu", loading=LoaderSettings(1, 4), compile=True)
    assert given == [(torch.device("cpu"), full)]


def test_a_machine_that_cannot_compile_is_told(best, monkeypatch):
    monkeypatch.setattr(compilation, "_lacking", lambda device: "a C++ compiler")
    with pytest.raises(SettingError, match=r"^--compile: needs a C\+\+ compiler; install it"):
        Predictor(best, device="cpu", compile=True)


def test_convolutions_are_tuned_for_the_device(tiny_run, monkeypatch):
    tuned = []
    monkeypatch.setattr("fastffdi.inference.predict.tune_convolutions", tuned.append)
    Predictor(tiny_run.settings.output / BEST, device="cpu")
    assert tuned == [torch.device("cpu")]
