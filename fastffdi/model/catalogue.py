"""timm's models: their parameters, the size of images they were made for, and what their weights saw."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fastffdi.errors import SettingError, did_you_mean
from fastffdi.files import atomic, cache_folder
from fastffdi.model import backbone
from fastffdi.model.pretraining import is_allowed, of_config

#: Architectures that are usual for this task, small ones first.
USUAL = (
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "tf_efficientnet_lite0",
    "efficientnet_b0",
    "tf_efficientnet_b0",
    "resnet18",
    "fastvit_t12",
    "convnextv2_nano",
    "tf_efficientnetv2_b0",
    "tf_efficientnet_b4",
    "legacy_xception",
    "xception41",
    "tf_efficientnetv2_s",
    "vit_small_patch16_224",
    "resnet50",
    "swin_tiny_patch4_window7_224",
    "convnext_tiny",
    "maxvit_tiny_tf_224",
    "vit_base_patch14_dinov2",
    "vit_large_patch14_clip_224",
)


@dataclass(frozen=True)
class Backbone:
    """One set of weights, or a model of which none are published.

    Attributes:
        name: for --backbone, with its tag
        default: whether it is what the name without a tag means
        size: (height, width) of images in pixels, which `size: backbone` means in a recipe
        weights_data: what the weights saw, as `pretraining.of_name` says it
        parameters: with two logits; None where they have not been counted, or cannot be
    """

    name: str
    default: bool
    size: tuple[int, int]
    weights_data: str
    parameters: int | None = None

    def to_data(self) -> dict[str, Any]:
        """Plain data, with `imagenet1k_only`: whether that option allows the weights."""
        return asdict(self) | {"imagenet1k_only": is_allowed(self.weights_data)}


def find(pattern: str | None = None, imagenet1k_only: bool = False) -> list[Backbone]:
    """The models whose name matches, in timm's order, those without published weights last.

    Args:
        pattern: a name, with or without a tag, or with `*` and `?`; else a part of names. None: the usual
            ones, each with the weights that its name without a tag means, and where these saw more than
            ImageNet-1k also the first that did not
        imagenet1k_only: leave out the weights that the option of that name refuses

    Raises SettingError where there is none.
    """
    found = list(_usual() if pattern is None else _matching(pattern))
    if imagenet1k_only:
        found = [one for one in found if is_allowed(one.weights_data)]
    if not found:
        raise SettingError(
            f"{pattern}: its weights all saw, or may have seen, more than ImageNet-1k; name other models, or "
            "take --no-pretrained in training"
        )
    return found


def counted(found: Sequence[Backbone], progress: Callable[[str], None] = lambda name: None) -> list[Backbone]:
    """The same with their parameters, each model built without memory; `progress` gets each name.

    That takes up to a second per model, so numbers are kept in the cache folder, by version of timm.
    """
    file = _file()
    known = before = _read(file)
    try:
        for one in found:
            if _key(one) not in known:
                known = known | {_key(one): _parameters(one.name)}
            progress(one.name)
    finally:
        if known != before:
            _write(file, known)
    return [replace(one, parameters=known[_key(one)]) for one in found]


def _usual() -> Iterator[Backbone]:
    import timm

    for architecture in filter(timm.is_model, USUAL):
        own = _tagged(timm.list_pretrained(architecture))
        first = next(one for one in own if one.default)
        yield first
        if not is_allowed(first.weights_data):
            yield from [one for one in own if is_allowed(one.weights_data)][:1]


def _matching(pattern: str) -> list[Backbone]:
    import timm

    for words in dict.fromkeys((pattern, f"*{pattern}*")):
        weightless = [name for name in timm.list_models(words) if not timm.models.is_model_pretrained(name)]
        found = _tagged([*timm.list_pretrained(words), *weightless])
        if found:
            return found
    raise SettingError(f"{pattern}: no timm model has such a name{_near(pattern, timm.list_models())}")


def _near(pattern: str, known: Iterable[str]) -> str:
    near = did_you_mean(pattern.strip("*"), known)
    return near if near.endswith("?") else "; `fastffdi backbones '*'` lists all"


def _tagged(names: Iterable[str]) -> list[Backbone]:
    from timm.models import get_pretrained_cfg

    found = []
    for name in names:
        config = get_pretrained_cfg(name, allow_unregistered=False).to_dict()
        chosen = get_pretrained_cfg(config["architecture"]).tag == config.get("tag")
        default = chosen and backbone.has_weights(config)
        _, height, width = config["input_size"]
        found.append(Backbone(name, default, (height, width), of_config(config)))
    return found


def _key(one: Backbone) -> str:
    # Tags of one architecture differ in their parameters only where position embeddings have another size.
    height, width = one.size
    return f"{one.name.partition('.')[0]} {height}x{width}"


def _parameters(name: str) -> int | None:
    try:
        with torch.device("meta"):
            model = backbone.build(name, pretrained=False)
    except (RuntimeError, NotImplementedError):  # a few models read what they have just made
        return None
    return sum(parameter.numel() for parameter in model.parameters())


def _file() -> Path:
    import timm

    return cache_folder() / f"backbones-timm-{timm.__version__}.json"


def _read(file: Path) -> dict[str, int | None]:
    """What is known; nothing where the file is absent or damaged."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {key: count for key, count in known.items() if count is None or type(count) is int}


def _write(file: Path, known: dict[str, int | None]) -> None:
    with contextlib.suppress(OSError):  # then they are counted again
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic(file) as part:
            part.write_text(json.dumps(known), encoding="utf-8")
