"""What images a timm model's pretrained weights were made from, as far as their name tells.

timm calls weights ARCHITECTURE.TAG, `mobilenetv3_large_100.miil_in21k_ft_in1k`: words of the tag say who made
them, how, and from which data sets. The tables here have the meaning of each word. A word that they do not
have makes the answer "unknown", and so does a teacher whose images the name leaves open, since a student
learns what its teacher has seen.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastffdi.errors import SettingError
from fastffdi.escapes import escaped
from fastffdi.model.backbone import has_weights, published_config

#: Of random weights.
NOTHING = "nothing"
IMAGENET_1K = "imagenet-1k"
UNKNOWN = "unknown: "

#: Words that name data: their meaning is in timm's model cards and in the papers that its model files cite.
DATA = {
    "in1k": IMAGENET_1K,
    "in12k": "imagenet-12k",
    "in21k": "imagenet-21k",
    "inw21k": "imagenet-21k",
    "in22k": "imagenet-22k",
    "jft": "jft-300m",
    "ig1b": "instagram-1b",
    "seer": "instagram-1b",
    "swag": "instagram-3.6b",
    "yfcc15m": "yfcc-15m",
    "yfcc100m": "yfcc-100m",
    "cc12m": "cc-12m",
    "openai": "openai's wit-400m",
    "laion2b": "laion-2b",
    "laion400m": "laion-400m",
    "laiona": "laion-a",
    "datacomp1b": "datacomp-1b",
    "datacompxl": "datacomp-xl",
    "dfn2b": "dfn-2b",
    "dfn5b": "dfn-5b",
    "dfndr2b": "dfndr-2b",
    "metaclip": "metaclip",
    "metaclip2": "metaclip",
    "merged2b": "merged-2b",
    "m30m": "merged-30m",
    "m38m": "merged-38m",
    "webli": "webli",
    "lvd142m": "lvd-142m",
    "lvd1689m": "lvd-1689m",
    "sat493m": "sat-493m",
    "sa1b": "sa-1b",
    # Its students also learn from images beyond ImageNet-1k (arXiv:2103.05959, cited in timm's hgnet.py).
    "ssld": "ssld's unlabelled images",
}

#: What is said of a CLIP whose name tells no more.
CLIP = "CLIP's image-text pairs"

#: Words that say that a teacher was learnt from. USI is distillation too (arXiv:2204.03475).
TAUGHT = frozenset({"dist", "distilled", "ns", "usi"})

_PUBLISHERS = """apple bd bt cvnets deit dm fb gluon goog idstcv miil ms msft mx nav naver nv orig paddle
    pycls rvgg sail snap sw tf timm tv tv2"""
_RECIPES = """a1 a1h a2 a2h a3 ad agc ah am b1k b2k c c1 c2 c2ns c3 ch d d1 d1h d2 ix lamb lion nadamuon pd ra
    ra2 ra3 ra4 racm ram rmsp rsb sbb sbb2"""
_METHODS = "aa adv ap aug augreg augreg2 dino ens fcmae ft green ijepa lc mae sam"

#: Words of who made the weights and how, which say nothing about images.
OTHERS = frozenset(f"{_PUBLISHERS} {_RECIPES} {_METHODS}".split())

#: Epochs and image sizes: e300, 300e, 300ep, r224, s576, 384.
_NUMBER = re.compile(r"[ers]?\d+(e|ep)?")

#: Weights made from ImageNet-1k alone, where words of their names leave it open. Distilled ones had DeiT's
#: RegNetY-16GF for a teacher, trained on ImageNet-1k (`regnety_160.deit_in1k`), says the paper of each.
ONLY_IMAGENET_1K = {
    "cait_*.fb_dist_in1k": "arXiv:2103.17239",
    "deit_*_distilled_*.fb_in1k": "arXiv:2012.12877",
    "efficientformer_*.snap_dist_in1k": "arXiv:2206.01191",
    "efficientformerv2_*.snap_dist_in1k": "arXiv:2212.08059",
    "fastvit_*.apple_dist_in1k": "arXiv:2303.14189",
    "levit_*.fb_dist_in1k": "arXiv:2104.01136",
    "pit_*_distilled_*.in1k": "arXiv:2103.16302",
    "repvit_*.dist_in1k": "arXiv:2307.09283",
    "repvit_*.dist_???e_in1k": "arXiv:2307.09283",
    "resmlp_*.fb_distilled_in1k": "arXiv:2105.03404",
    "swiftformer_*.dist_in1k": "arXiv:2303.15446",
    "xcit_*.fb_dist_in1k": "arXiv:2106.09681",
    # learnt without labels
    "convnextv2_*.fcmae": "arXiv:2301.00808",
    "hiera_*.mae": "arXiv:2306.00989",
    "resmlp_*.fb_dino": "arXiv:2104.14294",
    "vit_*_patch*_224.dino": "arXiv:2104.14294",
    "vit_*_patch*_224.mae": "arXiv:2111.06377",
}

#: Weights made from more than their names tell.
MORE_THAN_TOLD = {
    # Targets come from a tokenizer that is distilled from OpenAI's CLIP (arXiv:2208.06366).
    "beitv2_*": "openai's wit-400m",
    # The teacher is `resnetv2_152x2_bit.goog_teacher_in21k_ft_in1k` (arXiv:2106.05237).
    "resnetv2_*.goog_distilled_in1k": "imagenet-21k",
}


def of_name(name: str) -> str:
    """What the pretrained weights of a timm model saw: `imagenet-1k`, several names, or `unknown: reason`.

    Args:
        name: with or without a tag, which is then timm's default. None of these weights are fetched

    Raises SettingError for a name that timm does not know.
    """
    return of_config(published_config(name))


def of_config(config: dict[str, Any]) -> str:
    """The same by what timm publishes about a name, as `backbone.published_config` gives it."""
    if not has_weights(config):
        return f"{UNKNOWN}timm publishes no weights of it"
    return of_tag(config["architecture"], config.get("tag") or "", config.get("num_classes", 1000))


def of_tag(architecture: str, tag: str, classes: int = 1000) -> str:
    """The same for the two parts of a name; `classes` is how many the weights' own head tells apart."""
    name = f"{architecture}.{tag}"
    if _listed(name, ONLY_IMAGENET_1K):
        return IMAGENET_1K
    words, parts = tag.split("_") if tag else [], architecture.split("_")
    named = [DATA[word] for word in words + parts if word in DATA] + _listed(name, MORE_THAN_TOLD)
    if "clip" in words + parts and set(named) <= {IMAGENET_1K}:
        named.append(CLIP)
    if any(data != IMAGENET_1K for data in named):
        return ", ".join(dict.fromkeys(named))
    taught = not TAUGHT.isdisjoint(words + parts)
    return next(_doubts(tag, words, taught, classes), IMAGENET_1K)


def full_name(name: str) -> str:
    """The name with its tag, timm's default where it has none."""
    config = published_config(name)
    return ".".join(filter(None, (config["architecture"], config.get("tag"))))


def of_run(backbone: str, pretrained: bool, weights: Path | None) -> str:
    """What the weights saw that a run starts from.

    Of a file only a checkpoint of fastffdi tells: it has the answer of the run that made it, whose own images
    do not count. Raises SettingError for a name that timm does not know.
    """
    if weights is not None:
        return _of_file(weights)
    return of_name(backbone) if pretrained else NOTHING


def check_only_imagenet1k(saw: str, backbone: str, weights: Path | None) -> None:
    """Raise SettingError where weights saw, or may have seen, anything but ImageNet-1k."""
    if is_allowed(saw):
        return
    what = f"weights {weights}" if weights is not None else f"the weights {full_name(backbone)}"
    reason = saw.removeprefix(UNKNOWN)
    told = f"what they saw is unknown ({reason})" if reason != saw else f"they saw {saw}"
    raise SettingError(f"--imagenet1k-only: {what} are refused, {told}; {_instead(backbone)}")


def is_allowed(saw: str) -> bool:
    """Whether weights with this answer saw ImageNet-1k or nothing."""
    return saw in (IMAGENET_1K, NOTHING)


def _instead(backbone: str) -> str:
    import timm

    architecture = backbone.partition(".")[0]
    tagged = timm.list_models(f"{architecture}.*", pretrained=True)
    allowed = [name for name in tagged if is_allowed(of_name(name))][:3]
    if allowed:
        return f"allowed of this backbone: --backbone {', '.join(allowed)}; or take --no-pretrained"
    return "`fastffdi backbones --imagenet1k-only` lists weights that are allowed; or take --no-pretrained"


def _of_file(path: Path) -> str:
    from fastffdi.model import checkpoint

    if not path.is_file():
        return f"{UNKNOWN}no such file"
    try:
        return checkpoint.read(path).weights_data
    except SettingError:
        return f"{UNKNOWN}the file is no checkpoint of fastffdi, which alone tells"


def _doubts(tag: str, words: list[str], taught: bool, classes: int) -> Iterator[str]:
    """Why weights whose name tells of nothing but ImageNet-1k may have seen more."""
    told = f"the tag {escaped(tag[:60])!r}" if tag else "the name, without a tag,"
    if "in1k" not in words:
        yield f"{UNKNOWN}{told} names no data set that is known here"
    if taught:
        yield f"{UNKNOWN}learnt from a teacher, and the name does not tell what that saw"
    for word in words:
        if not (word in DATA or word in OTHERS or _NUMBER.fullmatch(word)):
            yield f"{UNKNOWN}{told} has the word {escaped(word[:60])!r}, whose meaning is not known here"
    if classes not in (0, 1000):
        yield f"{UNKNOWN}{told} names ImageNet-1k, and the weights tell {classes:,} classes apart"


def _listed(name: str, table: dict[str, str]) -> list[str]:
    return [meaning for pattern, meaning in table.items() if fnmatch.fnmatchcase(name, pattern)]
