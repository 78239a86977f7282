import inspect

from torchvision.transforms import v2

from fastffdi.recipe.aliases import ALIASES, INSTEAD, class_name, snake_case
from fastffdi.recipe.steps import STEPS

OWN = ["flip_views", "tiles", "python"]


def test_every_step_is_a_class_of_torchvision_but_three() -> None:
    assert [name for name in STEPS if not class_name(name)] == OWN
    assert all(inspect.isclass(getattr(v2, class_name(name))) for name in STEPS if name not in OWN)


def test_aliases_lead_to_steps_and_hide_none() -> None:
    assert set(ALIASES.values()) == set(STEPS) - set(OWN)
    assert not set(ALIASES) & (set(STEPS) | set(INSTEAD))
    snake = {alias: step for alias, step in ALIASES.items() if alias.islower()}
    assert snake == {
        "random_horizontal_flip": "horizontal_flip",
        "random_vertical_flip": "vertical_flip",
        "jpeg": "jpeg_compression",
    }


def test_what_needs_no_step_is_torchvisions_too() -> None:
    assert all(hasattr(v2, name) for name in INSTEAD if not name.islower())


def test_classes_in_snake_case() -> None:
    names = ["JPEG", "PILToTensor", "ToPILImage", "RandomIoUCrop", "AugMix", "RGB", "Pad"]
    assert [snake_case(name) for name in names] == [
        "jpeg", "pil_to_tensor", "to_pil_image", "random_io_u_crop", "aug_mix", "rgb", "pad",
    ]  # fmt: skip
