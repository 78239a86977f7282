"""The names that steps have in torchvision.transforms.v2, which a recipe may use as well."""

from __future__ import annotations

import re

from fastffdi.recipe.steps import STEPS

#: torchvision's class for a step whose own name is not that class's in snake case; "" where there is none.
_OTHERWISE = {
    "horizontal_flip": "RandomHorizontalFlip",
    "vertical_flip": "RandomVerticalFlip",
    "jpeg_compression": "JPEG",
    "python": "",
    "flip_views": "",
    "tiles": "",
}

_NO_NEED = "images are decoded to RGB, and normalize makes numbers of them; leave it out"
_MIXING = "mixing is a block beside train; write mix: {mixup: ALPHA, cutmix: ALPHA}"
_ADVICE = {
    **dict.fromkeys(("ToImage", "ToTensor", "PILToTensor", "ToPILImage", "ToPureTensor"), _NO_NEED),
    **dict.fromkeys(("ToDtype", "ConvertImageDtype", "RGB"), _NO_NEED),
    **dict.fromkeys(("MixUp", "CutMix"), _MIXING),
    "Compose": "a recipe's list is one already; write the steps alone",
    "Identity": "it does nothing; leave it out",
    "Lambda": "call a function of your own; write python: module:function",
}


def class_name(step: str) -> str:
    """torchvision's class for the step of that name; empty where it has none."""
    return _OTHERWISE.get(step, "".join(word.capitalize() for word in step.split("_")))


def snake_case(name: str) -> str:
    """The name of a class as steps are written: JPEG is jpeg, PILToTensor is pil_to_tensor."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _both(name: str) -> tuple[str, str]:
    return name, snake_case(name)


#: Every other name of a step, and the step's own.
ALIASES = {
    alias: step for step in STEPS if (name := class_name(step)) for alias in _both(name) if alias != step
}

#: What to do instead, by the names of torchvision's classes that need no step here.
INSTEAD = {word: advice for name, advice in _ADVICE.items() for word in _both(name)}
