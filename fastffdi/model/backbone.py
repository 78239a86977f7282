"""Backbones: timm models with two logits, and what each expects of its images."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fastffdi.errors import SettingError, did_you_mean
from fastffdi.model.weights import load_weights
from fastffdi.recipe import recipe as recipes
from fastffdi.recipe.recipe import Recipe

# A hub that has not answered by then counts as out of reach; its client would try for most of a minute.
HUB_TIMEOUT_SECONDS = 5.0

# What timm's own vision transformers and ConvNeXts start their heads with.
HEAD_STD = 0.02

WAYS_OUT = "give a file with --weights FILE, or start from random weights with --no-pretrained"


@dataclass(frozen=True)
class Preprocessing:
    """What a backbone was trained on: `size` (height, width) in pixels, `mean` and `std` of RGB in [0, 1]."""

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


#: Where there is no backbone.
NO_BACKBONE = Preprocessing((256, 256), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def preprocessing(name: str) -> Preprocessing:
    """timm's own size, mean and std for the backbone, read without building it.

    Raises SettingError for a name timm does not know.
    """
    from timm.data import resolve_data_config

    config = resolve_data_config(pretrained_cfg=published_config(name))
    _, height, width = config["input_size"]
    return Preprocessing((height, width), _rgb(config["mean"]), _rgb(config["std"]))


def load_recipe(name_or_path: str, backbone: str | None = None) -> Recipe:
    """A recipe, with every `backbone` in it replaced by the backbone's own size, mean and std.

    Args:
        name_or_path: a shipped recipe's name, or a YAML file
        backbone: a timm model. None: 256 × 256, ImageNet's mean and std

    Returns a Recipe: its `train` and `eval` are steps, and `mix` and `decode` its blocks, for Loader.
    Raises RecipeError for a recipe that is not there or not valid, SettingError for a backbone that timm
    does not know.

    >>> recipe = fastffdi.load_recipe("tutorial", backbone="efficientnet_b0")
    >>> [step.name() for step in recipe.train]
    ['resize', 'horizontal_flip', 'vertical_flip', 'normalize']
    """
    recipe = recipes.load(name_or_path)
    own = NO_BACKBONE if backbone is None else preprocessing(backbone)
    return recipe.resolve(own.size, own.mean, own.std)


def _rgb(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def build(
    name: str,
    pretrained: bool,
    weights: Path | None = None,
    say: Callable[[str], None] | None = None,
    drop_path: float | None = None,
) -> nn.Module:
    """A timm model with logits (N, 2) for images (N, 3, H, W), in channels_last memory, on the CPU.

    `weights`, if given, takes the place of timm's pretrained weights; `say` receives the sentence of
    `load_weights`. `drop_path`, if given, is the rate at which residual branches are left out in training.
    Raises SettingError for an unknown name, for a model without such branches, and for weights that are not
    published, cannot be fetched or do not fit: the model never starts from random weights unless `pretrained`
    is false.
    """
    published = published_config(name)
    if weights is not None:
        model = _create(name, drop_path)
        sentence = load_weights(model, weights)
        if say is not None:
            say(sentence)
    else:
        model = _create_pretrained(name, published, drop_path) if pretrained else _create(name, drop_path)
    return model.to(memory_format=torch.channels_last)


def check_input(model: nn.Module, size: tuple[int, int]) -> None:
    """Raise SettingError if the model refuses images of `size` (height, width), by trying one.

    The recipe's image size is law: no backbone is silently rebuilt for another size.
    """
    parameter = next(model.parameters())
    image = torch.zeros(1, 3, *size, device=parameter.device, dtype=parameter.dtype)
    training = model.training
    try:
        with torch.no_grad():
            shape = tuple(model.eval()(image).shape)
    except (AssertionError, RuntimeError, ValueError, IndexError) as error:
        raise SettingError(_refused(model, size, _first_line(error))) from error
    finally:
        model.train(training)
    if shape != (1, 2):
        raise SettingError(_refused(model, size, f"its output is {shape}, not two logits"))


def _refused(model: nn.Module, size: tuple[int, int], reason: str) -> str:
    config: Any = getattr(model, "pretrained_cfg", None) or {}
    name = config.get("architecture") or type(model).__name__
    wanted = config.get("input_size")
    wants = f"it wants {wanted[1]}x{wanted[2]}; " if wanted else ""
    return (
        f"backbone '{name}' refuses the recipe's images of {size[0]}x{size[1]} ({reason}); "
        f"{wants}write 'size: backbone' in the recipe, or take another backbone"
    )


def published_config(name: str) -> dict[str, Any]:
    """What timm publishes about the name: where its weights are, and what images they were made from.

    Raises SettingError for a name timm does not know.
    """
    import timm
    from timm.models import get_pretrained_cfg

    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    if architecture not in known:
        raise SettingError(f"unknown backbone {name!r}{_instead(architecture, known)}")
    try:
        return dict(get_pretrained_cfg(name, allow_unregistered=False).to_dict())
    except RuntimeError as error:
        tagged = timm.list_models(f"{architecture}.*", pretrained=True)
        instead = did_you_mean(name, tagged) if tagged else f" nor any others; {WAYS_OUT}"
        raise SettingError(
            f"backbone '{architecture}' has no pretrained weights named {tag!r}{instead}"
        ) from error


def has_weights(published: dict[str, Any]) -> bool:
    """Whether there are pretrained weights, by what `published_config` gives."""
    return any(published.get(source) for source in ("hf_hub_id", "url", "file"))


def _instead(given: str, known: list[str]) -> str:
    from timm.models import get_deprecated_models

    renamed = get_deprecated_models().get(given)
    if renamed:
        return f", timm calls it '{renamed}' now"
    near = difflib.get_close_matches(given, known, n=3)
    if near:
        return f", did you mean {' or '.join(repr(word) for word in near)}?"
    return f"; allowed: timm's {len(known)} models, which timm.list_models() names"


def _create(name: str, drop_path: float | None = None) -> nn.Module:
    # Without its tag, since timm would warn that the tagged weights are not going to be loaded.
    return _with_quiet_head(_timms(name, False, drop_path))


def _timms(name: str, pretrained: bool, drop_path: float | None) -> nn.Module:
    import timm
    from timm.layers import DropPath

    given = {} if drop_path is None else {"drop_path_rate": drop_path}
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=2, **given)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        raise SettingError(_without_branches(name)) from error
    if drop_path and not any(isinstance(module, DropPath) for module in model.modules()):
        raise SettingError(_without_branches(name))
    return model


def _without_branches(name: str) -> str:
    return f"drop_path: backbone '{name}' has no residual branches that timm could leave out; leave it out"


def _create_pretrained(name: str, published: dict[str, Any], drop_path: float | None = None) -> nn.Module:
    if not has_weights(published):
        raise SettingError(f"backbone '{name}' has no published pretrained weights; {WAYS_OUT}")
    reason = _out_of_reach(published)
    if reason:
        raise SettingError(_not_fetched(name, reason))
    try:
        model = _timms(name, True, drop_path)
    except SettingError:
        raise
    except Exception as error:  # the hub's client has no common base for what can go wrong
        raise SettingError(_not_fetched(name, _first_line(error))) from error
    return _with_quiet_head(model)


def _with_quiet_head(model: nn.Module) -> nn.Module:
    """The model with small weights in its new head.

    timm gives EfficientNets and MobileNets a head that is scaled for 1000 classes: with two, the first
    losses are several nats, and their gradients undo the pretrained weights.
    """
    head = model.get_classifier()  # type: ignore[operator]  # every timm model has it
    if isinstance(head, nn.Linear):
        nn.init.normal_(head.weight, std=HEAD_STD)
        nn.init.zeros_(head.bias)
    return model


def _not_fetched(name: str, reason: str) -> str:
    return f"pretrained weights of '{name}' cannot be fetched ({reason}); {WAYS_OUT}"


def _out_of_reach(published: dict[str, Any]) -> str | None:
    """Why the hub cannot be asked for these weights; None if it answers or they are cached."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    repository, _, revision = (published.get("hf_hub_id") or "").partition("@")
    files = [published.get("hf_hub_filename") or "model.safetensors", "pytorch_model.bin"]
    cached = (try_to_load_from_cache(repository, file, revision=revision or None) for file in files)
    if not repository or any(isinstance(path, str) for path in cached):
        return None
    try:
        url = hf_hub_url(repository, files[0], revision=revision or None)
        get_hf_file_metadata(url, timeout=HUB_TIMEOUT_SECONDS)
    except EntryNotFoundError:
        return None  # it answered; timm knows under which other names to look
    except Exception as error:  # the client's errors have no common base
        return f"the hub cannot be reached: {_first_line(error)}"
    return None


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
