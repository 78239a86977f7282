import numpy as np
import pytest
import torch

from fastffdi.errors import SettingError
from fastffdi.inference.pooling import Pool

LOGITS = torch.tensor(np.random.default_rng(3).normal(0, 2, (2, 4, 5, 2)), dtype=torch.float32)
FAKE = torch.softmax(LOGITS.double(), -1)[..., 1].numpy()
ODDS = (LOGITS[..., 1] - LOGITS[..., 0]).double().numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


EXPECTED = {
    "mean": FAKE.mean(axis=2).mean(axis=0),
    "logit": sigmoid(ODDS.mean(axis=2).mean(axis=0)),
    "topk:1": FAKE.max(axis=2).mean(axis=0),
    "topk:3": np.sort(FAKE, axis=2)[:, :, 2:].mean(axis=2).mean(axis=0),
    "topk:5": FAKE.mean(axis=2).mean(axis=0),
}


@pytest.mark.parametrize("text", EXPECTED)
def test_views_are_pooled_and_then_models(text):
    pool = Pool.parsed(text)
    assert str(pool) == text
    per_model = [pool.views(pool.values(logits.flatten(0, 1)).view(4, 5)) for logits in LOGITS]
    np.testing.assert_allclose(pool.models(torch.stack(per_model)), EXPECTED[text], atol=1e-6)


def test_half_precision_is_pooled_in_single():
    values = Pool().values(torch.tensor([[0.0, 1 / 1024]], dtype=torch.bfloat16))
    assert values.dtype == torch.float32
    assert values.item() == pytest.approx(1 / (1 + np.exp(-1 / 1024)), abs=1e-7)


@pytest.mark.parametrize("text", ["median", "mean:2", "topk", "topk:0", "topk:-1", "topk:x", ""])
def test_what_is_no_pool_is_refused_in_one_line(text):
    with pytest.raises(SettingError, match=f"^--pool {text}: .*(mean, logit)"):
        Pool.parsed(text)


def test_more_than_the_views_cannot_be_pooled():
    Pool.parsed("topk:5").check(5)
    with pytest.raises(SettingError, match=r"^--pool topk:6: an image has 5 views; give a lower number"):
        Pool.parsed("topk:6").check(5)
