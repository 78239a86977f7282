import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fastffdi.data.layout import find_dataset, plain_folder
from fastffdi.errors import RecipeError, SettingError, UndecodableImage
from fastffdi.evaluation import metrics
from fastffdi.inference import predict
from fastffdi.inference.predict import Predictor, write_csv
from fastffdi.inference.scoring import Scorer
from fastffdi.loaders import factory
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.dali import DaliLoader
from fastffdi.loaders.process.loader import ProcessLoader
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.model import checkpoint, compilation
from fastffdi.recipe.recipe import load
from fastffdi.render.cpu.decode import decode_path
from fastffdi.training.folder import BEST

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def best(tiny_run):
    return tiny_run.settings.output / BEST


@pytest.fixture(scope="module")
def val(tiny):
    return find_dataset(tiny).val


def scored(best, manifest, loader="cpu", threads=1, batch_size=8, amp="off"):
    return predictor_of(best, loader, threads, batch_size, amp)(manifest)


def predictor_of(path, loader="cpu", threads=1, batch_size=8, amp="off"):
    loading = LoaderSettings(threads, batch_size)
    return Predictor(path, device="cpu", amp=amp, backend=loader, loading=loading)


@pytest.fixture(scope="module")
def expected(best, val):
    return scored(best, val)


def test_scores_differ_and_are_probabilities(expected):
    assert expected.shape == (16,)
    assert expected.dtype == np.float64
    assert 0 < expected.min() < expected.max() < 1


def test_a_score_is_the_models_own_of_the_image_alone(best, val, expected):
    described, model = checkpoint.restore(best)
    image = torch.from_numpy(decode_path(val.paths()[3])).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(image, described.size, mode="bilinear", antialias=True).round()
    mean, std = (torch.tensor(values)[:, None, None] for values in (described.mean, described.std))
    with torch.no_grad():
        score = model((small / 255 - mean) / std).softmax(dim=1)[0, 1]
    assert score.item() == pytest.approx(expected[3], abs=2e-3)


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (5, 2), (16, 4), (64, 2)])
def test_neither_batch_size_nor_threads_matter(best, val, expected, batch_size, threads):
    found = scored(best, val, threads=threads, batch_size=batch_size)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_scores_stand_in_the_order_of_the_rows(best, val, expected):
    turned = val.take(np.arange(16)[::-1])
    np.testing.assert_allclose(scored(best, turned), expected[::-1], atol=1e-5)


def test_an_image_listed_twice_is_scored_twice(best, val, expected):
    rows = np.array([4, 4, 9, 4])
    np.testing.assert_allclose(scored(best, val.take(rows)), expected[rows], atol=1e-5)


@pytest.fixture
def cast(monkeypatch):
    """The models whose weights are cast; they stay as they are."""
    seen = []
    monkeypatch.setattr(predict, "cast_weights", lambda model, numbers: (seen.append(numbers.name), model)[1])
    return seen


def test_weights_are_cast_once_and_scores_stay(best, val, request):
    found = scored(best, val, amp="bf16")
    names = request.getfixturevalue("cast")
    np.testing.assert_allclose(found, scored(best, val, amp="bf16"), atol=2e-3)
    assert names == ["bf16"]


@pytest.mark.parametrize(("amp", "dtype"), [("bf16", torch.bfloat16), ("off", torch.float32)])
def test_weights_are_in_the_dtype_that_is_computed_in(best, amp, dtype):
    model = predictor_of(best, amp=amp)._scorer.model
    assert model.get_classifier().weight.dtype == dtype
    assert {parameter.dtype for parameter in model.parameters()} == {dtype, torch.float32}


@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_a_compiled_model_gives_the_same_scores(best, val, monkeypatch, amp):
    monkeypatch.setattr(compilation, "_backend", lambda device: {"backend": "aot_eager", "fullgraph": True})
    plain, fast = (
        Predictor(best, device="cpu", amp=amp, loading=LoaderSettings(1, 7), compile=compile)(val)
        for compile in (False, True)
    )
    np.testing.assert_allclose(fast, plain, atol=2e-3)


@pytest.mark.slow
def test_torchs_compiler_gives_the_same_scores(best, val, expected):
    fast = Predictor(best, device="cpu", amp="off", loading=LoaderSettings(1, 8), compile=True)
    np.testing.assert_allclose(fast(val), expected, atol=2e-3)


@pytest.mark.parametrize(("steps", "full"), [([], 4), ([{"five_crop": {"size": 16}}], 20)])
def test_batches_are_compiled_for_all_views_of_their_images(best, tmp_path, monkeypatch, steps, full):
    described, model = checkpoint.restore(best)
    described.recipe["eval"][1:1] = steps
    checkpoint.save(described, model, tmp_path / "views.safetensors")
    given = []
    monkeypatch.setattr(predict, "compiled_forward", lambda plain, *more: given.append(more) or plain)
    Predictor(tmp_path / "views.safetensors", device="cpu", loading=LoaderSettings(1, 4), compile=True)
    assert given == [(torch.device("cpu"), full)]


def test_a_machine_that_cannot_compile_is_told(best, monkeypatch):
    monkeypatch.setattr(compilation, "_lacking", lambda device: "a C++ compiler")
    with pytest.raises(SettingError, match=r"^--compile: needs a C\+\+ compiler; install it"):
        Predictor(best, device="cpu", compile=True)


def test_labels_are_not_needed(best, tiny, expected):
    found = plain_folder(tiny / "valset")
    assert found.labels is None
    np.testing.assert_allclose(scored(best, found), expected, atol=1e-5)


def test_the_recipe_is_the_checkpoints_own(best, tiny):
    predictor = predictor_of(best)
    recipe = load(str(tiny / "recipe.yaml")).resolve((1, 1), (0.0,) * 3, (1.0,) * 3)
    assert predictor.recipe.eval == recipe.eval


def test_progress_counts_every_image(best, val):
    seen = []
    predictor_of(best, batch_size=6)(val, seen.append)
    assert seen == [6, 6, 4]


def test_an_image_that_cannot_be_decoded_is_named(best, tiny, tmp_path):
    shutil.copytree(tiny / "valset", tmp_path / "copy")
    (tmp_path / "copy" / "05.jpg").write_bytes(b"no image")
    with pytest.raises(UndecodableImage, match=r"05\.jpg: cannot be decoded"):
        scored(best, plain_folder(tmp_path / "copy"))


@pytest.mark.parametrize(
    "loader", ["cpu", "cached", pytest.param("process", marks=pytest.mark.slow), "dali", "torchvision"]
)
def test_a_tenth_that_cannot_be_decoded_have_no_score_and_all_others_have_their_own(
    best, tiny, tmp_path, loader
):
    shutil.copytree(tiny, tmp_path / "data")
    images = find_dataset(tmp_path / "data").train
    backend = {"cached": "cpu", "process": "cpu"}.get(loader, loader)

    def scores(cache):
        predictor = Predictor(
            best,
            device="cpu",
            backend=backend,
            loading=LoaderSettings(2, 8, process=loader == "process"),
            cache=tmp_path / cache if loader == "cached" else None,
            on_corrupt="skip",
        )
        return predictor(images), predictor.reasons

    clean, none = scores("clean")
    assert not np.isnan(clean).any()
    assert none == {}
    bad = [3, 12, 13, 30]
    for k, path in enumerate(map(Path, images.paths(np.array(bad)))):
        half = path.read_bytes()[: path.stat().st_size // 2]
        path.unlink()
        if k:  # the first has gone
            path.write_bytes([b"", b"no image", half][k - 1])
    found, reasons = scores("spoilt")
    assert sorted(reasons) == sorted(images.names[bad])
    assert np.flatnonzero(np.isnan(found)).tolist() == bad
    others = np.setdiff1d(np.arange(len(images)), bad)
    assert found[others].tolist() == clean[others].tolist()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(SettingError, match="no such file; give one that `fastffdi train` wrote"):
        predictor_of(tmp_path / "absent.safetensors")


def test_a_checkpoint_whose_recipe_is_not_understood_is_named(best, tmp_path):
    described, model = checkpoint.restore(best)
    described.recipe["eval"].insert(0, {"blur_faces": {}})
    checkpoint.save(described, model, tmp_path / "newer.safetensors")
    with pytest.raises(RecipeError, match=r"newer\.safetensors: its recipe: eval\[0\]: unknown step"):
        predictor_of(tmp_path / "newer.safetensors")


MODULE = "ran_by_the_checkpoint"


def with_recipe(best, tmp_path, part, *entries):
    """The checkpoint with more steps, after the first, in a part of its recipe."""
    described, model = checkpoint.restore(best)
    described.recipe[part][1:1] = entries
    checkpoint.save(described, model, tmp_path / "other.safetensors")
    return tmp_path / "other.safetensors"


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A file that is there once the module MODULE has been imported."""
    (tmp_path / f"{MODULE}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef f(x): return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ran"


def test_functions_of_a_checkpoints_training_steps_are_never_imported(best, val, tmp_path, trap, expected):
    path = with_recipe(best, tmp_path, "train", {"python": f"{MODULE}:f"})
    assert scored(path, val) == pytest.approx(expected, abs=1e-6)
    assert not trap.exists()


@pytest.mark.parametrize("inner", [False, True])
def test_a_function_in_a_checkpoints_evaluation_steps_is_refused_unrun(best, tmp_path, trap, inner):
    step = {"python": f"{MODULE}:f"}
    entry = {"random_apply": {"transforms": [step]}} if inner else step
    path = with_recipe(best, tmp_path, "eval", entry)
    line = (
        rf"other\.safetensors: its recipe: eval: python: {MODULE}:f: a checkpoint keeps these steps, and runs"
    )
    with pytest.raises(RecipeError, match=line):
        predictor_of(path)
    assert not trap.exists()


DEEP: object = "vertical_flip"
for _ in range(50):
    DEEP = {"random_apply": {"transforms": [DEEP]}}
BOMBS = {
    "wide": ["vertical_flip"] * 5000,
    "deep": [DEEP],
    "many mistakes": [{"x\n\x1b[2J" * 500: {}}] * 50,
    "huge": [{"resize": {"size": [10**9, 10**9]}}],
    "no step": [None, 3, [], "x"],
    "orders": [{"random_order": {"transforms": ["vertical_flip"] * 16}}],
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_checkpoints_recipe_that_is_a_bomb_is_refused_in_one_line(best, tmp_path, kind):
    with pytest.raises(RecipeError, match=r"other\.safetensors: its recipe: eval") as error:
        predictor_of(with_recipe(best, tmp_path, "eval", *BOMBS[kind]))
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1500


def test_an_excel_safe_csv_has_harmless_names_and_numbers_as_they_are(tmp_path):
    names, scores = (
        column("a.jpg", "=1+1.jpg", '-"x",y;=2', "\udcff.jpg"),
        np.array([0.25, np.nan, 1e-12, 1 / 3]),
    )
    write_csv(tmp_path / "out.csv", names, scores, "-1", excel_safe=True)
    assert (tmp_path / "out.csv").read_bytes() == (
        b'img_name,y_pred\n"a.jpg",0.25\n"\'=1+1.jpg",-1\n"\'-""x"",y;=2",1e-12\n"\xff.jpg",0.333333333\n'
    )
    write_csv(tmp_path / "out.csv", names, scores, "=now()", excel_safe=True)
    assert b'"\'=1+1.jpg","\'=now()"\n' in (tmp_path / "out.csv").read_bytes()


def test_excel_safe_errors_have_harmless_names_and_reasons(tmp_path):
    reasons = {"@a.jpg": "-broken", "b.jpg": "cut, off"}
    predict.write_errors(tmp_path / "errors.csv", reasons, excel_safe=True)
    assert (tmp_path / "errors.csv").read_text() == (
        'img_name,reason\n"\'@a.jpg","\'-broken"\n"b.jpg","cut, off"\n'
    )


def test_names_are_as_given_unless_excel_safe_is_asked_for(tmp_path):
    write_csv(tmp_path / "out.csv", column("=1+1.jpg"), np.array([0.5]))
    assert (tmp_path / "out.csv").read_text() == "img_name,y_pred\n=1+1.jpg,0.5\n"


def column(*names):
    return np.array(names, object)


def test_the_csv_has_names_and_scores_in_order(tmp_path):
    write_csv(tmp_path / "out.csv", column("b.jpg", "a/c.jpg", "b.jpg"), np.array([0.25, 1.0, 0.0]))
    assert (tmp_path / "out.csv").read_bytes() == b"img_name,y_pred\nb.jpg,0.25\na/c.jpg,1\nb.jpg,0\n"


def test_names_come_back_as_they_were(tmp_path):
    names = column("a,b.jpg", 'say "x".jpg', " padded ", "日本.jpg", "NA", "1e5")
    write_csv(tmp_path / "out.csv", names, np.zeros(len(names)))
    table = pd.read_csv(tmp_path / "out.csv", dtype=str, na_filter=False)
    assert table["img_name"].tolist() == names.tolist()


def test_a_name_that_is_not_utf8_leaves_as_the_bytes_it_was(tmp_path):
    write_csv(tmp_path / "out.csv", column(os.fsdecode(b"caf\xe9.jpg")), np.zeros(1))
    assert b"\ncaf\xe9.jpg,0\n" in (tmp_path / "out.csv").read_bytes()


def test_the_csv_tells_apart_what_the_model_does(tmp_path):
    one = np.float32(0.999999)
    scores = np.array([one, np.nextafter(one, np.float32(1)), 1e-9], np.float64)
    write_csv(tmp_path / "out.csv", column("a", "b", "c"), scores)
    assert (tmp_path / "out.csv").read_text().splitlines()[-1] == "c,1e-09"
    written = pd.read_csv(tmp_path / "out.csv")["y_pred"].to_numpy()
    assert (written.astype(np.float32) == scores.astype(np.float32)).all()


def test_a_file_that_cannot_be_finished_is_not_begun(tmp_path):
    with pytest.raises(ValueError, match="same length"):
        write_csv(tmp_path / "out.csv", column("a", "b"), np.zeros(3))
    assert list(tmp_path.iterdir()) == []


def test_a_csv_that_is_cut_short_leaves_the_old_one(tmp_path, monkeypatch):
    def full(table, part, **how):
        part.write_text("half")
        raise OSError("no space left")

    (tmp_path / "out.csv").write_text("old")
    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="no space"):
        write_csv(tmp_path / "out.csv", column("a"), np.zeros(1))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_recipe_that_names_a_function_for_training_predicts_without_it(tiny_run, val, expected, tmp_path):
    described, model = checkpoint.restore(tiny_run.settings.output / BEST)
    described.recipe["train"].insert(1, {"python": "no_such_module:dark"})
    checkpoint.save(described, model, tmp_path / "own.safetensors")
    np.testing.assert_allclose(scored(tmp_path / "own.safetensors", val), expected, atol=1e-5)


def test_auc_of_the_csv_is_the_one_reported(tiny_run, best, val, tmp_path):
    write_csv(tmp_path / "out.csv", val.names, scored(best, val))
    written = pd.read_csv(tmp_path / "out.csv")["y_pred"].to_numpy()
    assert metrics.auc(val.labels, written) == tiny_run.best.validation["auc"]


# A model whose scores go from 0 to 1, and can be worked out.


def means(paths):
    """The mean pixel value of each image, over 255, as Pillow decodes it."""
    return np.array([np.asarray(Image.open(path)).mean() for path in paths]) / 255


@pytest.mark.parametrize("backend", ["cpu", "dali", "torchvision"])
@pytest.mark.parametrize(
    ("amp", "shown", "off_by"),
    [("off", (torch.float32, False), 4e-3), ("bf16", (torch.bfloat16, True), 1e-2)],
)
def test_scores_are_those_of_the_images_with_every_loader(lit, brightness, backend, amp, shown, off_by):
    expected = means(lit / f"{k}.jpg" for k in range(6))
    assert np.ptp(expected) > 0.85
    scores = predictor_of("any", backend, batch_size=4, amp=amp)(lit)
    np.testing.assert_allclose(scores, expected, atol=off_by)
    assert brightness.shown == {shown}


def test_images_are_given_as_a_folder_as_files_or_as_a_manifest(lit, brightness):
    predictor = predictor_of("any")
    files = [lit / f"{k}.jpg" for k in (3, 0, 5)]
    for given in (files, [str(file) for file in files], tuple(files), plain_folder(lit).take(np.r_[3, 0, 5])):
        np.testing.assert_allclose(predictor(given), means(files), atol=4e-3)
    for given in (lit, str(lit)):
        assert predictor(given).shape == (6,)
    for given in (files[0], str(files[0])):
        np.testing.assert_allclose(predictor(given), means(files[:1]), atol=4e-3)


@pytest.fixture
def built(monkeypatch):
    """The backends that are built."""
    seen, build = [], factory.build_loader
    monkeypatch.setattr(factory, "build_loader", lambda *given: (seen.append(build(*given)), seen[-1])[1])
    return seen


@pytest.mark.parametrize(
    ("given", "backend", "decoder"),
    [
        ({}, CpuLoader, "SourceDecoder"),
        ({"backend": "torchvision"}, TorchvisionLoader, "SourceDecoder"),
        ({"backend": "dali"}, DaliLoader, "SourceDecoder"),
        ({"cache": "kept"}, CpuLoader, "CachedDecoder"),
        ({"loading": LoaderSettings(1, 4, process=True)}, ProcessLoader, "SourceDecoder"),
    ],
)
def test_loader_and_decoder_are_the_ones_asked_for(
    lit, brightness, built, tmp_path, monkeypatch, given, backend, decoder
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Scorer, "__call__", lambda *given: None)  # before a child process has to start
    options = {"device": "cpu", "amp": "off", "loading": LoaderSettings(1, 4)} | given
    Predictor("any", **options)(lit)
    assert [type(loader) for loader in built] == [backend]
    planner = built[0].planner
    assert (type(planner.decoder).__name__, planner.batch_size) == (decoder, 4)
    assert (tmp_path / "kept").is_dir() == ("cache" in given)


def test_a_cache_is_filled_and_gives_the_same_scores(lit, brightness, tmp_path):
    predictor = Predictor("any", device="cpu", amp="off", cache=str(tmp_path))
    for _ in range(2):
        np.testing.assert_allclose(predictor(lit), means(lit / f"{k}.jpg" for k in range(6)), atol=4e-3)


@pytest.mark.parametrize("scaled", [False, True])
def test_images_are_decoded_scaled_where_the_checkpoint_says_so(tiny_run, val, built, tmp_path, scaled):
    described, model = checkpoint.restore(tiny_run.settings.output / BEST)
    recipe = described.recipe | ({"decode": {"scaled": True}} if scaled else {})
    checkpoint.save(replace(described, recipe=recipe), model, tmp_path / "model.safetensors")
    scored(tmp_path / "model.safetensors", val)
    assert built[0].planner.decoder.scaled is scaled


def test_images_get_the_steps_for_evaluation(tiny_run, val, built):
    scored(tiny_run.settings.output / BEST, val)
    assert [step.name() for step in built[0].planner.steps] == ["resize", "normalize"]


def test_convolutions_are_tuned_for_the_device(tiny_run, monkeypatch):
    tuned = []
    monkeypatch.setattr("fastffdi.inference.predict.tune_convolutions", tuned.append)
    Predictor(tiny_run.settings.output / BEST, device="cpu")
    assert tuned == [torch.device("cpu")]


def test_the_loader_is_closed_after_the_last_image(lit, brightness, built, monkeypatch):
    closed, close = [], CpuLoader.close
    monkeypatch.setattr(CpuLoader, "close", lambda self: (closed.append(self), close(self))[1])
    predictor_of("any")(lit)
    assert closed == built


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"device": "cuda"}, "--device cuda: "),
        (
            {"backend": "torchvision", "cache": "kept"},
            "--cache: goes with --loader cpu, not with torchvision",
        ),
        ({"backend": "dali", "loading": LoaderSettings(process=True)}, "--loader-process: goes with"),
        ({"amp": "fp16"}, "--amp fp16: needs a CUDA device"),
    ],
)
def test_what_does_not_fit_the_machine_is_refused(brightness, monkeypatch, given, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match=f"^{message}"):
        Predictor("any", **{"device": "cpu"} | given)
