from dataclasses import replace

import numpy as np
from experiments import settings_of

from fastffdi.data.manifest import Manifest
from fastffdi.errors import differences
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model.backbone import load_recipe
from fastffdi.training.identity import identity
from fastffdi.training.optimisation import Optimisation


def of(settings, dataset, loader="cpu", precision="off", device="cpu"):
    return identity(settings, dataset, load_recipe(settings.pipeline, "resnet18"), loader, precision, device)


def test_what_decides_the_course_of_a_run_is_in_it(settings, dataset):
    changes = {
        "--backbone": {"backbone": "resnet18"},
        "--pipeline": {"pipeline": "tutorial"},
        "--epochs": {"epochs": 9},
        "--lr": {"learning_rate": 0.5},
        "--batch-size": {"loading": LoaderSettings(1, 4)},
        "--balance": {"balance": True},
        "--seed": {"seed": 8},
        "--pretrained": {"pretrained": True},
        "--weights": {"weights": "w.pth"},
        "--compile": {"compile": True},
        "hw_decoder_load": {"loading": LoaderSettings(1, 8, hw_decoder_load=0.5)},
        **{
            f"--{name.replace('_', '-')}": {"optimisation": Optimisation(**{name: value})}
            for name, value in {
                "ema": 0.9,
                "accumulate": 2,
                "tune": "norm",
                "freeze": 1,
                "label_smoothing": 0.1,
            }.items()
        },
        **{
            name: {"optimisation": Optimisation(**{name: value})}
            for name, value in {
                "optimiser": "sgd",
                "weight_decay": 0.1,
                "momentum": 0.8,
                "schedule": "constant",
                "warmup": 0.0,
                "decay_every": 2,
                "decay_rate": 0.5,
                "clip_gradient": 1.0,
                "class_weights": "balanced",
                "layer_decay": 0.75,
                "drop_path": 0.1,
            }.items()
        },
        "jpeg_fancy_upsampling": {"loading": LoaderSettings(1, 8, jpeg_fancy_upsampling=False)},
    }
    own = of(settings, dataset)
    for name, change in changes.items():
        (difference,) = differences(own, of(replace(settings, **change), dataset))
        assert difference.startswith(f"{name} ")
    assert differences(own, of(settings, dataset, loader="dali")) == ["--loader cpu, now dali"]
    assert differences(own, of(settings, dataset, precision="bf16")) == ["--amp off, now bf16"]
    assert differences(own, of(settings, dataset, device="cuda")) == ["--device cpu, now cuda"]


def test_what_only_makes_it_faster_or_says_where_is_not(settings, dataset, tiny, tmp_path):
    loading = LoaderSettings(4, 8, prefetch=7, process=True, memory_cap=1.0, decoder_affinity=True)
    other = replace(
        settings_of(tiny, tmp_path / "elsewhere"),
        loading=loading,
        cache=tmp_path,
        overwrite=True,
        on_corrupt="fail",
        max_corrupt=0.5,
        save_every="3",
    )
    assert differences(of(settings, dataset), of(other, dataset)) == []


def test_the_images_are_known_by_names_and_labels_in_their_order(settings, dataset):
    own, train = of(settings, dataset), dataset.train
    for other in (train.take(slice(None, None, -1)), replace(train, labels=1 - train.labels)):
        (difference,) = differences(own, of(settings, replace(dataset, train=other)))
        assert difference.startswith("--data 40 and 16 images (")
    assert differences(own, of(settings, replace(dataset, train=replace(train, root="/moved")))) == []


def test_names_that_are_no_utf8_are_names(settings, dataset):
    rows = Manifest("/", np.array(["\udcff.jpg", "\ud800"], object), np.array([0, 1]))
    assert of(settings, replace(dataset, train=rows))["--data"].startswith("2 and 16 images (")
