import re
from hashlib import sha256
from html import unescape

import pytest
from PIL import Image

FEW = ("--resamples", 100)
PLAIN = ("--amp", "off", "--threads", 1, *FEW)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "report.html"


def text(file):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", file.read_text("utf-8"))).split())


def test_a_checkpoint_is_reported_with_its_mistakes_and_where_all_comes_from(evaluate, best, copy, file):
    (copy / "valset" / "03.jpg").write_bytes(b"no image")
    code, out, _ = evaluate(best, "--data", copy, "--report", file, *PLAIN)
    assert (code, out.splitlines()[-1]) == (3, f"report: {file}")
    page = text(file)
    auc = re.search(r"AUC +(\S+) +(\S+ … \S+)", out)
    assert f"AUC {auc[1]} {auc[2]}" in page
    assert "16 images; 1 left out, as they have no score. 03.jpg : " in page
    assert "colours 0.50" in page
    for path in (best, copy / "valset_label.txt"):
        assert f"{path} SHA-256 {sha256(path.read_bytes()).hexdigest()}" in page
    assert "trainset_label.txt" not in page
    assert f"fastffdi evaluate {best} --data {copy} --report {file} --amp off" in page
    assert "backbone test_efficientnet" in page
    assert (
        file.read_text("utf-8").count("data:image/jpeg") == len(re.findall(r"\.jpg score 0\.\d{4}", page)) > 0
    )


def test_several_checkpoints_and_a_decision(evaluate, best, tiny, file):
    last = best.with_name("last.safetensors")
    words = ("--choose-threshold", "eer", "--report", file)
    code, out, _ = evaluate(best, last, "--labels", tiny / "valset_label.txt", *words, *PLAIN)
    assert code == 0
    page = text(file)
    assert f"A: {best} less B: {last} : AUC " in page
    assert re.search(r"p = 1\.0000 \(DeLong, on the same 8 real and 8 fake images\)", page)
    assert page.count("Decision fitted to these images") == 2
    assert re.search(r"fake from scores of (0\.\d+) on", out)[1] in page


def test_scores_of_any_detector(evaluate, scores, file):
    code, out, err = evaluate("--scores", scores, "--by", "group", "--report", file, *FEW)
    assert (code, err) == (0, "")
    page = text(file)
    assert f"Scores {scores}" in page
    assert re.search(r"Worst by AUC: [abc] \.", page)
    assert out.splitlines()[-2].split()[-1] == re.search(r"Worst by AUC: ([abc])", page)[1]
    assert "The images are not at hand to be shown." in page


def test_images_of_scores_are_shown_if_they_are_inside_the_folder(evaluate, tmp_path, paint, file):
    folder, secret = tmp_path / "images", tmp_path / "secret.png"
    folder.mkdir()
    for path in (folder / "a.png", folder / "b.png", secret):
        Image.fromarray(paint(40, 40, 1)).save(path)
    (folder / "link.png").symlink_to(secret)
    names = [
        "a.png,1,0.1",
        "../secret.png,1,0.1",
        f"{secret},1,0.2",
        "link.png,1,0.2",
        "b.png,0,0.9",
        "c.png,0,1",
    ]
    scores = tmp_path / "scores.csv"
    scores.write_text("\n".join(["img_name,target,y_pred", *names]) + "\n")
    code, _, err = evaluate("--scores", scores, "--images", folder, "--report", file, *FEW)
    assert (code, err) == (0, "")
    shown = re.findall(
        r'data:image/jpeg[^>]*alt="(\w+) image[^>]*><span class="name">([^<]*)', file.read_text()
    )
    assert shown == [("fake", "a.png"), ("real", "b.png")]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--report", "scores.csv", "--overwrite"), "--report scores.csv: is a file that is read"),
        (("--report", "old.html"), "--report old.html: exists; name another file, or add --overwrite"),
        (("--report", "."), "--report .: is a folder"),
        (("--report", "no/r.html"), "--report no/r.html: there is no folder no; make it first"),
        (("--report", "r.html", "--json", "r.html"), "--report r.html: is the file of --json"),
        (("--report", "r.html", "--images", "no"), "--images no: there is no such folder"),
        (("--images", "."), "--scores: has the labels as well"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(evaluate, scores, monkeypatch, words, problem):
    monkeypatch.chdir(scores.parent)
    (scores.parent / "old.html").touch()
    code, out, err = evaluate("--scores", scores.name, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"fastffdi: {problem}")
    assert err.count("\n") == 1
    assert not (scores.parent / "r.html").exists()


def test_images_that_all_lie_elsewhere_are_refused(evaluate, tmp_path, file):
    (tmp_path / "s.csv").write_text("img_name,target,y_pred\n/x.png,1,0.5\n../y.png,0,0.5\n")
    code, _, err = evaluate("--scores", tmp_path / "s.csv", "--images", tmp_path, "--report", file)
    assert (code, err.count("\n")) == (2, 1)
    assert "none of the names in --scores is inside it" in err


def test_an_old_report_is_replaced_when_asked(evaluate, scores, file):
    file.write_text("old")
    assert evaluate("--scores", scores, "--report", file, "--overwrite", *FEW).code == 0
    assert file.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_what_degraded_images_tell_is_reported(evaluate, best, tiny, file):
    words = ("--bias", "--stress", "jpeg,blur", "--report", file)
    code, _, err = evaluate(best, "--data", tiny, *words, *PLAIN)
    assert (code, err) == (0, "")
    page = text(file)
    assert "Robustness: all images degraded jpeg: AUC" in page
    assert "strength: quality 95 … quality 30" in page
    assert "strength: sigma 0.5 px … sigma 2 px" in page
    assert f"{best}, 8 real and 8 fake All images degraded so strongly" in page


def test_several_sets_are_models_of_their_own(evaluate, scores, tmp_path, file):
    other = tmp_path / "other.csv"
    other.write_text(scores.read_text())
    code, _, err = evaluate("--scores", scores, "--scores", other, "--report", file, *FEW)
    assert (code, err) == (0, "")
    page = text(file)
    assert all(f"SHA-256 {sha256(path.read_bytes()).hexdigest()}" in page for path in (scores, other))
    assert f"B: {other} on {other}" not in page
    assert f"Model B: {other}" in page
