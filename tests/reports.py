"""Made-up evaluations, and reports of them, with all that a report can have and names that do harm."""

import numpy as np

from fastffdi.data.manifest import Manifest
from fastffdi.evaluation import figures
from fastffdi.evaluation.decision import fit
from fastffdi.evaluation.scored import Scored
from fastffdi.report.assessed import Assessed
from fastffdi.report.page import page
from fastffdi.report.provenance import Provenance, Source

#: Names of files, columns, values and settings: each would run, or break the page, if it were not escaped.
HOSTILE = (
    "<script>window.ran = 1</script>",
    "</script><script>window.ran = 2</script>",
    "</style></title><img src=x onerror='window.ran = 3'>",
    '"><svg onload="window.ran = 4">',
    "' onmouseover='window.ran = 5",
    "{{ 7 * 7 }}{% include 'page.html' %}",
    "\udcff\udc00.jpg",
    "two\nlines\r\x1b[2J\x00.jpg",
    "\u202egpj.exe",
    "]]>--><!--",
    "https://example.com/" + "x" * 235,
    "javascript:window.ran = 6",
)


def scored(seed=0, images=240, shift=1.2, columns=()):
    """Scores that tell fakes from reals, the better the larger `shift`; names are HOSTILE, then numbers."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 2
    scores = 1 / (1 + np.exp(-rng.normal((2 * labels - 1) * shift, 1.5)))
    names = np.array([*HOSTILE, *(f"{k}.jpg" for k in range(images - len(HOSTILE)))], object)
    groups = np.array([HOSTILE[k % 3] for k in range(images)], object)
    return Scored(names, labels, scores, dict.fromkeys(columns, groups), left_out=2)


def assessed(name="best.safetensors", of="faces", record=(), by=None, threshold=None, **how):
    """An evaluation with few resamples, of `scored`."""
    found = scored(columns=[] if by is None else [by], **how)
    parts = [] if by is None else figures.groups(found, by, threshold, 100)
    own = figures.figures(found.labels, found.scores, threshold, 100)
    return Assessed(name, of, found, own, parts, threshold, dict(record))


def decided(one):
    """A record with a decision that was fitted to these scores."""
    return {"decision": fit(one.labels, one.scores, "platt", "eer", 0.1).to_data()}


def stressed(names=("JPEG", HOSTILE[0])):
    """The record of a model under two degradations, each of three strengths."""
    fallen = (0.02, 0.08, 0.15)
    return {
        "stress": [
            {
                "name": name,
                "strength": 90 - 20 * k,
                "parameter": f"quality {90 - 20 * k}",
                "figures": {
                    "auc": {"value": 0.85 - fall, "interval": {"low": 0.8 - fall, "high": 0.9 - fall}},
                    "ece": {"value": 0.05 + fall, "interval": {"low": 0.03 + fall, "high": 0.08 + fall}},
                },
            }
            for name in names
            for k, fall in enumerate(fallen)
        ]
    }


def biased():
    """The record of a model whose scores shift when one class is degraded."""
    factor = {"fact": "JPEG quality", "median_real": 95.0, "median_fake": 75.0, "reach": 0.97, "found": True}
    return {
        "degraded": {"reals": 60, "fakes": 50},
        "factors": [factor | {"class": "real", "shift": 0.4}, factor | {"fact": "size", "found": False}],
        "bias": [
            {
                "name": "JPEG",
                "strength": k,
                "class": label,
                "shift": sign * (k + 1) / 20,
                "interval": {"low": sign * (k + 1) / 20 - 0.02, "high": sign * (k + 1) / 20 + 0.02},
                "auc_change": -(k + 1) / 50,
            }
            for label, sign in (("real", 1), ("fake", -0.1))
            for k in range(3)
        ],
    }


def made_of(**changes):
    """Where a report comes from."""
    known = {
        "command": "fastffdi evaluate --scores scores.csv",
        "made": "2026-11-28 12:00 UTC",
        "sources": [Source("scores", "scores.csv", "0" * 64)],
        "settings": {"--resamples": 100},
        "versions": {"python": "3.11.7", "fastffdi": "0.1.0"},
        "models": {},
    }
    return Provenance(**(known | changes))


def reported(*models, images=(), by=None, **changes):
    """The page of these models."""
    return page(models, dict(images), made_of(**changes), by, resamples=100)


def everything(paint, folder):
    """The page with all that it can have, of two models and hostile names; images are there for some rows."""
    from PIL import Image

    first = scored()
    record = {**stressed(), **biased(), **decided(first)}
    models = [
        assessed(HOSTILE[1], HOSTILE[2], record, by=HOSTILE[0]),
        assessed(
            "last.safetensors", HOSTILE[2], stressed() | biased(), by=HOSTILE[0], threshold=0.3, shift=1.0
        ),
    ]
    apart = figures.compare(*(first.labels, first.scores, models[1].scored.scores), resamples=100)
    from dataclasses import asdict, replace

    models[1] = replace(models[1], record={**models[1].record, "less_than_first": asdict(apart)})
    for k in range(60):
        Image.fromarray(paint(90, 60 + k, k)).save(folder / f"{k}.jpg")
    files = np.array([f"{k % 60}.jpg" for k in range(len(first))], object)
    images = Manifest(str(folder), first.names, first.labels, files=files)
    settings = {"--by": HOSTILE[4], HOSTILE[0]: HOSTILE[1]}
    hostile = {
        "command": HOSTILE[1],
        "settings": settings,
        "sources": [Source(HOSTILE[0], HOSTILE[6], "0" * 64)],
    }
    return reported(*models, images={HOSTILE[2]: images}, by=HOSTILE[0], **hostile)
