"""What `prepare` builds from settings, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments import finished, loaders_of, prepared, refused, with_mixing, with_recipe

from fastffdi.errors import DataError, RecipeError, SettingError
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.dali import DaliLoader
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.model import backbone
from fastffdi.recipe.recipe import parse
from fastffdi.training.folder import BEST, LAST, TABLE
from fastffdi.training.preparation import prepare

pytestmark = pytest.mark.usefixtures("one_thread")


def orders(loader):
    """The rows of the first two epochs, in the order in which their images come."""
    return [np.concatenate([batch.rows for batch in loader.backend.epoch(k)]).tolist() for k in range(2)]


def test_training_images_are_shuffled_anew_in_every_epoch(settings, dataset):
    with prepared(settings, dataset) as experiment:
        first, second = orders(experiment.train)
    assert sorted(first) == sorted(second) == list(range(40))
    assert list(range(40)) != first != second != list(range(40))


def test_validation_images_come_in_their_order(settings, dataset):
    with prepared(settings, dataset) as experiment:
        assert orders(experiment.val) == [list(range(16))] * 2


def test_each_split_has_its_images_and_its_steps(settings, dataset):
    with prepared(settings, dataset) as experiment:
        for loader, split in ((experiment.train, dataset.train), (experiment.val, dataset.val)):
            assert list(loader.backend.planner.manifest.paths()) == list(split.paths())
        names = [[step.name() for step in loader.backend.planner.steps] for loader in loaders_of(experiment)]
    assert names == [["resize", "horizontal_flip", "normalize"], ["resize", "normalize"]]


def test_the_seed_decides_order_augmentation_mixing_and_weights(settings, dataset, tmp_path, monkeypatch):
    seeds, seed = [], torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda given: (seeds.append(given), seed(given))[1])
    with prepared(with_mixing(settings, tmp_path), dataset) as experiment:
        for loader in loaders_of(experiment):
            planner = loader.backend.planner
            assert (planner.sampler.seed, planner.rng.seed) == (7, 7)
        assert experiment.train.mixer.rng.seed == 7
    assert seeds == [7]


def test_the_model_is_built_as_asked_for(settings, dataset, monkeypatch):
    seen = []

    def build(*given):
        seen.append(given)
        raise SettingError("enough")

    def say(line):
        raise AssertionError(line)

    monkeypatch.setattr("fastffdi.model.backbone.build", build)
    for pretrained in (True, False):
        with pytest.raises(SettingError, match="enough"):
            prepare(replace(settings, pretrained=pretrained, weights=Path("w")), dataset, say)
    assert seen == [("test_efficientnet", pretrained, Path("w"), say, None) for pretrained in (True, False)]


KINDS = [
    ({"backend": "cpu"}, CpuLoader, "SourceDecoder"),
    ({"backend": "dali"}, DaliLoader, "SourceDecoder"),
    ({"backend": "torchvision"}, TorchvisionLoader, "SourceDecoder"),
    ({"backend": "auto"}, CpuLoader, "SourceDecoder"),
    ({"backend": "auto", "cache": True}, CpuLoader, "CachedDecoder"),
    ({"backend": "auto", "loading": LoaderSettings(1, 8, process=True)}, ProcessLoader, "SourceDecoder"),
]


@pytest.mark.parametrize(("given", "backend", "decoder"), KINDS)
def test_loaders_and_decoders_are_the_ones_asked_for(settings, dataset, tmp_path, given, backend, decoder):
    if "cache" in given:
        given = given | {"cache": tmp_path / "cache"}
    with prepared(replace(settings, **given), dataset) as experiment:
        for loader in loaders_of(experiment):
            assert type(loader.backend) is backend
            assert type(loader.backend.planner.decoder).__name__ == decoder
            assert loader.backend.planner.batch_size == 8
    assert (tmp_path / "cache").is_dir() == ("cache" in given)


@pytest.mark.parametrize("scaled", [False, True])
def test_images_are_decoded_scaled_where_the_recipe_says_so(settings, dataset, scaled):
    settings = with_recipe(settings, more="decode: {scaled: true}" if scaled else "")
    with prepared(settings, dataset) as experiment:
        assert [loader.backend.planner.decoder.scaled for loader in loaders_of(experiment)] == [scaled] * 2


@pytest.mark.parametrize(("amp", "dtype"), [("off", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_is_the_one_asked_for(settings, dataset, amp, dtype):
    with prepared(replace(settings, amp=amp), dataset) as experiment:
        assert experiment.trainer.precision.name == amp
        assert [loader.stage.dtype for loader in loaders_of(experiment)] == [dtype] * 2
        assert next(experiment.trainer.model.parameters()).dtype == torch.float32


def test_convolutions_are_tuned_for_the_device(settings, dataset, monkeypatch):
    tuned = []
    monkeypatch.setattr("fastffdi.training.preparation.tune_convolutions", tuned.append)
    with prepared(settings, dataset):
        assert tuned == [torch.device("cpu")]


@pytest.mark.parametrize("backend", ["cpu", "dali", "torchvision"])
def test_a_compiled_run_leaves_out_what_fills_no_batch_and_says_so(settings, dataset, backend):
    said, loading = [], LoaderSettings(1, 12)
    settings = replace(settings, compile=True, backend=backend, loading=loading)
    with prepared(settings, dataset, said.append) as experiment:
        assert [len(batch) for batch in experiment.train.backend.epoch(0)] == [12] * 3
        assert [len(batch) for batch in experiment.val.backend.epoch(0)] == [12, 4]
        assert experiment.images == 36 + 16
        assert experiment.trainer.objective is not None
    assert said[-1] == (
        "the training step is compiled first, which takes minutes; 4 training images, which fill no batch, "
        "are left out of each epoch"
    )


def test_a_compiled_run_keeps_the_one_short_batch_of_few_images(settings, dataset):
    said = []
    few = replace(dataset, train=dataset.train.take(slice(5)))
    with prepared(replace(settings, compile=True), few, said.append) as experiment:
        assert [len(batch) for batch in experiment.train.backend.epoch(0)] == [5]
    assert said[-2:] == [
        "the training step is compiled first, which takes minutes",
        "3 updates in all, 1 in an epoch: fewer than a warm-up of 0.15 of them needs; lower --batch-size, or "
        "raise --epochs",
    ]


def test_a_run_that_is_not_compiled_uses_all_images(settings, dataset):
    with prepared(replace(settings, loading=LoaderSettings(1, 12)), dataset) as experiment:
        assert not experiment.train.backend.planner.drop_last
        assert experiment.trainer.objective is None


def test_a_machine_that_cannot_compile_is_told_before_anything_is_built(settings, dataset, monkeypatch):
    monkeypatch.setattr("fastffdi.model.compilation._lacking", lambda device: "a C++ compiler")
    monkeypatch.setattr("fastffdi.model.backbone.build", lambda *given: 1 / 0)
    message = refused(replace(settings, compile=True), dataset)
    assert message == "--compile: needs a C++ compiler; install it, or leave out --compile"


def test_a_cache_is_estimated_aloud(settings, dataset, tmp_path):
    said = []
    with prepared(replace(settings, cache=tmp_path / "cache"), dataset, said.append):
        assert len(said) == 3
        assert "56 images" in said[2]


def test_a_recipe_that_mixes_is_run_with_a_mixer(settings, dataset, tmp_path):
    with prepared(with_mixing(settings, tmp_path), dataset) as experiment:
        assert experiment.train.mixer.mix == parse(experiment.recipe.to_data(), "").mix
        assert experiment.val.mixer is None
    with prepared(settings, dataset) as experiment:
        assert experiment.train.mixer is None


def test_mixing_ends_before_the_epochs_that_the_recipe_names(settings, dataset):
    settings = with_recipe(settings, more="mix: {mixup: 1, off_epochs: 2}")
    with prepared(replace(settings, epochs=5), dataset) as experiment:
        assert experiment.train.mixer.until == 3


def test_balance_repeats_the_smaller_class(settings, dataset):
    few = dataset.train.take(np.r_[0:40:2, 1:9:2])  # 20 real, 4 fake
    with prepared(replace(settings, balance=True), replace(dataset, train=few)) as experiment:
        assert len(experiment.train) == 5
        labels = np.concatenate([batch.labels for batch in experiment.train.backend.epoch(0)])
    assert np.bincount(labels).tolist() == [20, 20]


def test_the_device_loader_and_precision_are_said(settings, dataset):
    said = []
    with prepared(settings, dataset, said.append):
        pass
    assert said[-1:] == ["test_efficientnet on cpu, loader cpu, float32, as asked for"]


RANDOM = "test_efficientnet starts from random weights"


def test_random_weights_are_said_and_others_are_not_called_random(settings, dataset, tiny_run):
    weights, said = tiny_run.settings.output / LAST, ([], [])
    for given, lines in zip((None, weights), said, strict=True):
        with prepared(replace(settings, weights=given), dataset, lines.append):
            pass
    assert [RANDOM in lines for lines in said] == [True, False]
    assert said[1][0].startswith(f"{LAST}: ")


def test_pretrained_weights_are_not_called_random(settings, dataset, monkeypatch):
    monkeypatch.setattr(
        "fastffdi.model.backbone._create_pretrained", lambda name, *_: backbone.build(name, False)
    )
    said = []
    with prepared(replace(settings, pretrained=True), dataset, said.append):
        pass
    assert said == ["test_efficientnet on cpu, loader cpu, float32, as asked for"]


def test_the_seed_decides_the_first_weights(settings, dataset):
    models = []
    for seed in (0, 0, 1):
        with prepared(replace(settings, seed=seed), dataset) as experiment:
            models.append(experiment.trainer.model.state_dict()["conv_stem.weight"])
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_both_loaders_are_closed(settings, dataset, monkeypatch):
    closed = []
    with prepared(settings, dataset) as experiment:
        for loader in loaders_of(experiment):
            monkeypatch.setattr(loader, "close", lambda of=loader.close: (closed.append(1), of()))
    assert closed == [1, 1]


# What is refused, before anything is written.


def test_to_prepare_writes_nothing(settings, dataset):
    with prepared(settings, dataset):
        assert not settings.output.exists()


@pytest.mark.parametrize("name", [TABLE, BEST, LAST])
def test_a_folder_that_holds_a_run_is_refused(settings, dataset, name):
    settings.output.mkdir()
    (settings.output / name).write_text("precious")
    message = refused(settings, dataset)
    assert message == (
        f"--output {settings.output}: already holds a run; name another folder, or add --overwrite"
    )
    assert (settings.output / name).read_text() == "precious"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"device": "cuda"}, "--device cuda: "),
        (
            {"backend": "torchvision", "cache": Path("kept")},
            "--cache: goes with --loader cpu, not with torchvision; leave out one of the two",
        ),
        (
            {"backend": "dali", "loading": LoaderSettings(process=True)},
            "--loader-process: goes with --loader cpu, not with dali; leave out one of the two",
        ),
        ({"amp": "fp16"}, "--amp fp16: needs a CUDA device"),
    ],
)
def test_what_does_not_fit_the_machine_is_refused(settings, dataset, monkeypatch, given, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refused(replace(settings, **given), dataset).startswith(message)


def test_a_file_in_the_folders_place_is_refused(settings, dataset):
    settings.output.write_text("a file")
    assert refused(settings, dataset) == f"--output {settings.output}: is a file; name a folder"


def test_a_folder_that_cannot_be_made_is_refused(settings, dataset):
    settings.output.write_text("a file")
    with pytest.raises(DataError, match="cannot be made"):
        finished(replace(settings, output=settings.output / "below"), dataset)


def test_images_too_small_for_a_crop_are_found_before_anything_is_written(settings, dataset, tmp_path):
    text = (
        "train: [random_crop: {size: [50, 50]}, normalize: {mean: imagenet, std: imagenet}]\n"
        "eval: [center_crop: {size: [50, 50]}, normalize: {mean: imagenet, std: imagenet}]\n"
    )
    (tmp_path / "crop.yaml").write_text(text)
    message = refused(replace(settings, pipeline=str(tmp_path / "crop.yaml")), dataset, DataError)
    assert not settings.output.exists()
    assert "random_crop: 50×50 does not fit an image of" in message


@pytest.mark.parametrize("sizes", [(32, 160), (160, 32)])
def test_a_size_the_backbone_refuses_is_refused_in_either_part(settings, dataset, tmp_path, sizes):
    step = "[resize: {{size: [{0}, {0}]}}, normalize: {{mean: imagenet, std: imagenet}}]"
    train, evaluation = (step.format(size) for size in sizes)
    (tmp_path / "small.yaml").write_text(f"train: {train}\neval: {evaluation}\n")
    settings = replace(settings, backbone="test_coatnet", pipeline=str(tmp_path / "small.yaml"))
    assert "'test_coatnet' refuses the recipe's images of 32x32" in refused(settings, dataset)


def test_a_step_the_loader_cannot_render_is_refused(settings, dataset, monkeypatch):
    monkeypatch.setattr("fastffdi.loaders.torchvision_transforms.TRANSFORMS", {})
    message = refused(replace(settings, backend="torchvision"), dataset, RecipeError)
    assert message == "--loader torchvision cannot express resize; take another loader"


def test_a_function_that_is_not_there_ends_the_run_before_it_begins(settings, dataset):
    settings = with_recipe(settings, "{python: 'no_such_module:dark'},")
    with pytest.raises(RecipeError, match=r"^python: no_such_module:dark: cannot be imported"):
        prepare(settings, dataset, lambda line: None)


def test_imagenet1k_only_refuses_weights_that_saw_more_before_they_are_fetched(settings, dataset):
    name = "mobilenetv3_large_100.miil_in21k_ft_in1k"
    strict = replace(settings, backbone=name, pretrained=True, imagenet1k_only=True)
    message = refused(strict, dataset)
    assert message.startswith(
        f"--imagenet1k-only: the weights {name} are refused, they saw imagenet-21k, imagenet-1k; allowed of"
    )


def test_imagenet1k_only_allows_random_weights_and_checkpoints_that_began_with_them(
    settings, dataset, tiny_run
):
    file = tiny_run.settings.output / BEST
    for strict in (
        replace(settings, imagenet1k_only=True),
        replace(settings, imagenet1k_only=True, weights=file),
    ):
        with prepared(strict, dataset) as experiment:
            assert experiment.weights_data == "nothing"


def test_imagenet1k_only_refuses_a_file_that_tells_nothing(settings, dataset, tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "state.pth")
    message = refused(replace(settings, imagenet1k_only=True, weights=tmp_path / "state.pth"), dataset)
    assert "state.pth are refused, what they saw is unknown (the file is no checkpoint of fastffdi" in message
