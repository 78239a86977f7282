import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import SCORING as PLAIN
from PIL import Image
from submitted import names, refused, table

from fastffdi.evaluation.metrics import auc


@pytest.fixture
def output(submit):
    return submit


@pytest.fixture
def expected(predict, tiny, output):
    """The score of every validation image by its name."""
    assert predict(tiny / "valset").code == 0
    scores = table(output).set_index("img_name")["y_pred"].to_dict()
    output.unlink()
    return scores


@pytest.fixture
def any_file(tmp_path):
    """In place of a checkpoint, where a test says what each of them holds."""
    (tmp_path / "any").touch()
    return tmp_path / "any"


def scores_of(expected, *wanted):
    return pytest.approx(np.array([expected[name] for name in wanted]), abs=1e-5)


def test_a_folders_images_have_names_relative_to_it(predict, tiny, output, expected):
    code, out, err = predict(tiny)
    assert (code, err) == (0, f"{tiny}: 3 files left out that are no images: .txt (2), .yaml\n")
    assert out == f"56 rows in {output}\n"
    assert names(output) == [f"trainset/{k:02d}.jpg" for k in range(40)] + [
        f"valset/{k:02d}.jpg" for k in range(16)
    ]
    assert table(output)["y_pred"].to_numpy()[40:] == scores_of(expected, *expected)


def test_files_keep_their_names_as_typed_and_their_order(predict, tiny, output, expected, monkeypatch):
    monkeypatch.chdir(tiny)
    typed = ["valset/03.jpg", "./valset/01.jpg", f"{tiny}/valset/02.jpg", "valset/../valset/03.jpg"]
    assert predict(*typed).out == f"4 rows in {output}\n"
    assert names(output) == typed
    wanted = scores_of(expected, "03.jpg", "01.jpg", "02.jpg", "03.jpg")
    assert table(output)["y_pred"].to_numpy() == wanted


def test_a_label_file_without_targets_gives_a_row_for_every_line(predict, tiny, output, expected, tmp_path):
    listed = ["05.jpg", "02.jpg", "05.jpg", "11.jpg"]
    (tmp_path / "list.txt").write_text("\n".join(["img_name", *listed]) + "\n")
    ended = predict("--labels", tmp_path / "list.txt", "--images", tiny / "valset")
    assert ended.out == f"4 rows in {output}\n"
    assert names(output) == listed
    assert table(output)["y_pred"].to_numpy() == scores_of(expected, *listed)


def test_a_label_file_with_targets_also_gives_the_auc(predict, tiny, output):
    ended = predict("--labels", tiny / "valset_label.txt", "--images", tiny / "valset")
    labels = np.arange(16) % 2
    shown = auc(labels, table(output)["y_pred"].to_numpy())
    assert ended.out.splitlines()[1] == f"AUC against the labels given: {shown:.4f}"


def test_targets_of_one_class_leave_the_auc_undefined(predict, tiny, tmp_path):
    (tmp_path / "list.txt").write_text("img_name,target\n01.jpg,1\n03.jpg,1\n")
    ended = predict("--labels", tmp_path / "list.txt", "--images", tiny / "valset")
    assert ended.out.splitlines()[1] == "AUC against the labels given: undefined"


def test_images_lie_beside_their_label_file_unless_said_otherwise(predict, tiny, output, tmp_path):
    shutil.copy(tiny / "valset" / "04.jpg", tmp_path / "04.jpg")
    (tmp_path / "list.txt").write_text("img_name\n04.jpg\n")
    assert predict("--labels", tmp_path / "list.txt").code == 0
    assert names(output) == ["04.jpg"]


def test_a_label_file_of_the_challenges_layout_finds_its_folder(predict, tiny, output, expected):
    ended = predict("--labels", tiny / "valset_label.txt")
    assert ended.err == f"{tiny}/valset_label.txt: understood as images from {tiny}/valset\n"
    assert names(output) == list(expected)
    assert table(output)["y_pred"].to_numpy() == scores_of(expected, *expected)


@pytest.mark.parametrize("process", [(), ("--loader-process",)])
def test_names_stay_as_they_are_written_where_files_are_called_otherwise(
    predict, tiny, output, expected, tmp_path, process
):
    (tmp_path / "list.txt").write_text("img_name;target\nvalset/05;fake\nvalset/02;real\n")
    ended = predict("--labels", tmp_path / "list.txt", "--images", tiny / "valset", *process)
    assert ended.err == (
        f"{tmp_path}/list.txt: understood as separated by semicolons, real as 0 and fake as 1, "
        "names without valset/, names without their extension\n"
    )
    assert names(output) == ["valset/05", "valset/02"]
    assert table(output)["y_pred"].to_numpy() == scores_of(expected, "05.jpg", "02.jpg")


def test_several_folders_and_files_are_taken_together(predict, tiny, output, expected, monkeypatch):
    monkeypatch.chdir(tiny)
    assert predict("valset", "valset/03.jpg", "./trainset/").out == f"57 rows in {output}\n"
    assert names(output)[:17] == [*(f"valset/{k:02d}.jpg" for k in range(16)), "valset/03.jpg"]
    assert names(output)[17] == "./trainset/00.jpg"
    wanted = scores_of(expected, *expected, "03.jpg")
    assert table(output)["y_pred"].to_numpy()[:17] == wanted


def test_data_is_its_validation_part(predict, tiny, tiny_run, output):
    ended = predict("--data", tiny)
    assert names(output) == [f"{k:02d}.jpg" for k in range(16)]
    assert ended.out == (
        f"16 rows in {output}\nAUC against the labels given: {tiny_run.best.validation['auc']:.4f}\n"
    )


def test_the_csv_is_submit_csv_in_the_current_folder(fastffdi, best, tiny, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert fastffdi("predict", best, tiny / "valset", *PLAIN).out == "16 rows in submit.csv\n"
    assert len((tmp_path / "submit.csv").read_text().splitlines()) == 17


@pytest.mark.parametrize("old", ["img_name,y_pred\nold.jpg,1\n", ""])
def test_an_older_csv_is_replaced(predict, tiny, output, old):
    output.write_text(old)
    predict(tiny / "valset")
    assert names(output) == [f"{k:02d}.jpg" for k in range(16)]


def test_another_file_is_replaced_only_when_asked(predict, tiny, output):
    output.write_text("name,score\n")
    ended = predict(tiny / "valset")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"fastffdi: --output {output}: exists, and holds no img_name,y_pred table; "
        "name another file, or add --overwrite\n"
    )
    assert output.read_text() == "name,score\n"
    assert predict(tiny / "valset", "--overwrite").code == 0
    assert len(names(output)) == 16


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize("what", ["the checkpoint", "the label file", "one of the images"])
def test_an_input_is_never_written_over(fastffdi, tiny, best, tmp_path, what, overwrite):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    model, labels = shutil.copy(best, tmp_path / "best.safetensors"), copy / "valset_label.txt"
    target = {"the checkpoint": model, "the label file": labels, "one of the images": copy / "valset/00.jpg"}
    before = (path := Path(target[what])).read_bytes()
    for images in (("--labels", labels, "--images", copy / "valset"), (copy / "valset",)):
        if what == "the label file" and "--labels" not in images:
            continue
        ended = fastffdi("predict", model, *images, "-o", path, *overwrite, *PLAIN)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(f"fastffdi: --output {path}: ")
        assert overwrite == () or any(
            said in ended.err for said in (f": is {what}; name another", "no format")
        )
        assert ended.err.count("\n") == 1
        assert path.read_bytes() == before


@pytest.mark.parametrize("loader", ["cpu", "dali", "torchvision"])
def test_every_loader_predicts(predict, tiny, output, expected, loader):
    assert predict(tiny / "valset", "--loader", loader, "--batch-size", 5).code == 0
    found = table(output)["y_pred"].to_numpy()
    np.testing.assert_allclose(found, list(expected.values()), atol=2e-2)


def test_a_checkpoint_that_is_not_there(predict, tiny, tmp_path, output):
    line = refused(predict(tiny / "valset", model=tmp_path / "absent.safetensors"), output)
    assert "no such file; give one that `fastffdi train` wrote" in line


def test_a_file_that_is_no_checkpoint(predict, tiny, output):
    line = refused(predict(tiny / "valset", model=tiny / "recipe.yaml"), output)
    assert "recipe.yaml: not a safetensors file, or cut short" in line


@pytest.mark.parametrize("two", [("--data", "--labels"), ("--data", "FILE"), ("--labels", "FILE"), ()])
def test_images_are_named_in_one_way(predict, tiny, output, two):
    ways = {"--data": ("--data", tiny), "--labels": ("--labels", tiny / "x.txt"), "FILE": (tiny / "x.jpg",)}
    line = refused(predict(*(word for way in two for word in ways[way])), output)
    assert line == ("predict: name the images in one way: a FOLDER, FILEs, --data DIR or --labels FILE")


def test_a_folder_for_a_label_file_that_is_not_given(predict, tiny, output):
    line = refused(predict(tiny / "valset" / "00.jpg", "--images", tiny), output)
    assert line == "--images: belongs to --labels FILE; give both"


def test_files_that_do_not_exist(predict, output, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    line = refused(predict("a.jpg", "b.jpg"), output)
    assert line == f"2 of 2 files do not exist (a.jpg, b.jpg); check the names, seen from {tmp_path}"


def test_a_folder_without_images(predict, tmp_path, output):
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path}/empty: no images (JPEG" in refused(predict(tmp_path / "empty"), output)


def test_listed_images_that_do_not_exist(predict, tiny, tmp_path, output):
    (tmp_path / "list.txt").write_text("img_name\nx.jpg\n00.jpg\n")
    line = refused(predict("--labels", tmp_path / "list.txt", "--images", tiny / "valset"), output)
    assert "1 of 2 images are not in" in line


def test_an_output_in_a_folder_that_is_not_there(predict, tiny, tmp_path, output):
    line = refused(predict(tiny / "valset", "--output", tmp_path / "absent" / "x.csv"), output)
    assert line == (f"--output {tmp_path}/absent/x.csv: there is no folder {tmp_path}/absent; make it first")


def test_an_output_that_is_a_folder(predict, tiny, tmp_path, output):
    line = refused(predict(tiny / "valset", "--output", tmp_path), output)
    assert line == f"--output {tmp_path}: is a folder; name the file to write"


def test_cuda_that_is_absent(predict, tiny, output, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = refused(predict(tiny / "valset", "--device", "cuda"), output)
    assert line.startswith("--device cuda: torch ")


@pytest.mark.parametrize("loader", ["cpu", "dali", "torchvision"])
def test_an_image_that_cannot_be_decoded(predict, tiny, tmp_path, output, loader):
    shutil.copytree(tiny / "valset", tmp_path / "copy")
    (tmp_path / "copy" / "05.jpg").write_bytes(b"no image")
    line = refused(predict(tmp_path / "copy", "--loader", loader, "--on-corrupt", "fail"), output, code=1)
    assert line.startswith(f"{tmp_path}/copy/05.jpg: cannot be decoded (")
    for words, cell in (((), ""), (("--fill", "0.5"), "0.5")):
        code, out, err = predict(tmp_path / "copy", "--loader", loader, *words)
        assert (code, out) == (3, f"16 rows in {output}\n")
        errors = output.with_suffix(".errors.csv")
        assert f"images that cannot be decoded: 1, listed in {errors}" in err
        assert (
            errors.read_text()
            == 'img_name,reason\n05.jpg,"not a JPEG, PNG, WebP, BMP, TIFF, GIF or AVIF image"\n'
        )
        cells = dict(line.split(",") for line in output.read_text().splitlines()[1:])
        assert [name for name, score in cells.items() if score == cell] == ["05.jpg"]
    shutil.copy(tiny / "valset" / "05.jpg", tmp_path / "copy")
    assert predict(tmp_path / "copy", "--loader", loader)[0] == 0
    assert not errors.exists()


def test_the_csv_holds_the_scores_of_the_images(fastffdi, lit, brightness, any_file, output, tmp_path):
    (tmp_path / "list.txt").write_text("img_name,target\n3.jpg,1\n1.jpg,0\n5.jpg,1\n0.jpg,0\n")
    words = ("--labels", tmp_path / "list.txt", "--images", lit, "--output", output, "--loader", "cpu")
    _, out, _ = fastffdi("predict", any_file, *words, "--device", "cpu", "--amp", "off")
    assert names(output) == ["3.jpg", "1.jpg", "5.jpg", "0.jpg"]
    expected = [np.asarray(Image.open(lit / name)).mean() / 255 for name in names(output)]
    np.testing.assert_allclose(table(output)["y_pred"], expected, atol=4e-3)
    # Of the four pairs, the fake 5.jpg is darker than the real 0.jpg.
    assert out.splitlines()[1] == "AUC against the labels given: 0.7500"


def test_the_bar_counts_the_images(fastffdi, lit, brightness, any_file, output, monkeypatch):
    done = []
    monkeypatch.setattr("fastffdi.cli.screen.Bar.advance", lambda self, images: done.append(images))
    fastffdi("predict", any_file, lit, "--output", output, "--batch-size", 4, *PLAIN, "--device", "cpu")
    assert done == [4, 2]


def test_an_interrupt_says_what_became_of_the_table(predict, output, tiny, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastffdi.inference.predict.Predictor.__call__", interrupted)
    for state in ("not written", "as it was before"):
        code, out, err = predict(tiny / "valset")
        assert (code, out) == (130, "")
        assert err.splitlines()[-1] == f"interrupted; {output} is {state}; the same command begins again"
        output.write_text("img_name,y_pred\n")
