from dataclasses import replace

import pytest

from fastffdi.bench.verdict import Facts, verdict

FACTS = Facts(
    loader="cpu",
    cores=2,
    device="cpu",
    shares={"file read": 0.03, "JPEG decode": 0.68, "memory copy": 0.05},
    busy=0.97,
    image=(375, 500),
    target=(256, 256),
    prefix=("resize",),
)


def said(**changes) -> str:
    return verdict(replace(FACTS, **changes))


def test_decoding_limits_where_a_loader_is_nearest_to_it():
    assert said() == (
        "JPEG decoding limits: the cpu loader reaches 0.68 of what decoding alone allows on 2 cores; train "
        "--cache (which keeps what resize makes) or more cores would help."
    )
    assert said(prefix=(), cores=1).endswith("allows on 1 core; more cores would help.")


def test_large_images_are_worth_decoding_smaller():
    assert said(image=(2500, 3680)) == (
        "JPEG decoding limits: the cpu loader reaches 0.68 of what decoding alone allows on 2 cores; decode: "
        "{scaled: true} in the recipe (images have 9.2 MP, 140 times the target), train --cache (which "
        "keeps what resize makes) or more cores would help."
    )
    assert "scaled" in said(image=(512, 512))
    assert "scaled" not in said(image=(511, 2000))


def test_images_that_are_decoded_smaller_are_not_held_to_decoding_whole_ones():
    assert said(image=(2500, 3680), scaled=True, shares={"file read": 0.6, "JPEG decode": 2.1}) == (
        "Reading files limits: the cpu loader reaches 0.60 of what reading alone allows on 2 cores; train "
        "--cache (which keeps what resize makes) or a faster disk would help."
    )


def test_on_cuda_dali_may_decode():
    assert "allows on 2 cores; --loader dali, which decodes on the GPU, train" in said(
        device="cuda", others=("dali",)
    )
    assert "--loader dali" not in said(others=("dali",))


@pytest.mark.parametrize(
    ("ceiling", "begins", "ends"),
    [
        ("memory copy", "Memory limits", "smaller images or --amp bf16 would help."),
        ("GPU decoder", "The GPU's decoder limits", "resize makes) or --tune would help."),
        ("host to device", "Copying to the GPU limits", "; smaller images would help."),
    ],
)
def test_the_nearest_ceiling_is_what_limits(ceiling: str, begins: str, ends: str):
    sentence = said(device="cuda", shares={**FACTS.shares, ceiling: 0.8})
    assert sentence.startswith(begins + ": the cpu loader reaches 0.80 of what ")
    assert sentence.endswith(ends)


def test_far_from_every_ceiling_rendering_limits():
    assert said(shares={"file read": 0.02, "JPEG decode": 0.3}) == (
        "Rendering the recipe limits: the cpu loader reaches 0.30 of what decoding alone allows on 2 cores; "
        "train --cache (which keeps what resize makes), lighter steps or more cores would help."
    )


def test_without_jpegs_or_ceilings_decoding_is_not_separated_from_rendering():
    assert said(shares={"file read": 0.02}).startswith("Decoding and rendering limit: the cpu loader reaches")
    assert said(shares={}).startswith("Decoding and rendering limit: the cpu loader on 2 cores; ")


def test_idle_cores_wait():
    shares = {"file read": 0.02, "JPEG decode": 0.3}
    assert said(busy=0.42, shares=shares).startswith(
        "Waiting for files or other programs limits (the cores are busy 42% of the time): the cpu loader"
    )
    assert said(busy=0.42).startswith("JPEG decoding limits")
    assert said(busy=None, shares=shares).startswith("Rendering")
    assert said(busy=0.42, shares=shares, device="cuda").startswith("Rendering")


def test_the_baseline_is_to_be_replaced_where_another_loader_was_not_tried():
    assert said(loader="torchvision", shares={"JPEG decode": 0.12}, others=("cpu", "dali")) == (
        "Pillow and Python limit: the torchvision loader reaches 0.12 of what decoding alone allows on 2 "
        "cores; --loader cpu would help."
    )
    assert said(loader="torchvision").startswith("JPEG decoding limits")
