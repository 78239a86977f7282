import pandas as pd
import pytest
from PIL import Image

from fastffdi.evaluation.decision import Decision

COLUMNS = ["img_name", "y_pred", "spread", "flips", "reason"]


@pytest.fixture
def stability(fastffdi, tmp_path):
    """stability(...): what predict --stability says, and its table."""

    some, output = tmp_path / "some.safetensors", tmp_path / "submit.csv"
    some.write_bytes(b"what `brightness` stands for")

    def run(*words, model=some):
        ended = fastffdi(
            "predict", model, *words, "--stability", "-o", output, "--amp", "off", "--threads", 1
        )
        return ended, pd.read_csv(output, keep_default_na=False)

    return run


def test_bright_and_dark_images_stay_what_they_are(stability, lit, brightness):
    ended, table = stability(lit)
    assert table.columns.tolist() == COLUMNS
    assert (table["spread"].astype(float) < 0.02).all()
    assert table["flips"].tolist() == [0] * 6
    assert table["reason"].tolist() == [""] * 6
    assert ended.out.splitlines()[1] == (
        "verdicts that a mild degradation flips: 0 of 6; threshold 0.5, as the checkpoint holds none"
    )


@pytest.fixture
def framed(tmp_path):
    """An image whose middle is darker than its rim: a crop is darker than the whole."""
    image = Image.new("RGB", (100, 100), (255, 255, 255))
    image.paste((90, 90, 90), (10, 10, 90, 90))
    image.save(tmp_path / "framed.png")
    return tmp_path / "framed.png"


def decided(monkeypatch, threshold):
    monkeypatch.setattr(
        "fastffdi.inference.member.decision_of", lambda data, path: Decision(threshold, "eer", 50)
    )


def test_an_image_that_flips_is_inconclusive_and_the_reason_is_told(
    stability, framed, brightness, monkeypatch
):
    decided(monkeypatch, 0.52)
    ended, table = stability(framed, "--decide")
    assert table.columns.tolist() == [*COLUMNS[:2], "decision", *COLUMNS[2:]]
    (row,) = table.to_dict("records")
    assert row["y_pred"] == pytest.approx(0.585, abs=0.01)
    assert (row["decision"], row["flips"], row["reason"]) == ("inconclusive", 1, "crop_0.9: real")
    assert row["spread"] == pytest.approx(0.09, abs=0.02)
    assert (
        ended.out.splitlines()[1]
        == "verdicts that a mild degradation flips: 1 of 1; threshold 0.52, as stored"
    )


def test_the_table_for_spreadsheets_has_the_same_columns(stability, framed, brightness, monkeypatch):
    decided(monkeypatch, 0.52)
    _, plain = stability(framed)
    _, safe = stability(framed, "--excel-safe")
    pd.testing.assert_frame_equal(plain, safe)


def test_an_image_that_cannot_be_decoded_has_no_score(stability, lit, brightness, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    ended, table = stability(tmp_path / "bad.jpg", lit / "0.jpg")
    assert ended.code == 3
    assert table["spread"].tolist()[0] == ""
    assert table["reason"].tolist() == ["no score", ""]
    assert ended.err.startswith("images that cannot be decoded: 1")


def test_scores_are_those_without_stability(stability, fastffdi, tiny_run, tiny, tmp_path):
    best = tiny_run.settings.output / "best.safetensors"
    _, table = stability(tiny / "valset", model=best)
    plain = tmp_path / "plain.csv"
    fastffdi("predict", best, tiny / "valset", "-o", plain, "--amp", "off", "--threads", 1)
    assert table["y_pred"].tolist() == pd.read_csv(plain)["y_pred"].tolist()
    assert (table["spread"] > 0).all()
