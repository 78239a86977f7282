import numpy as np
import pytest
from planted import clean, encoded, jpeg, photo

from fastffdi.audit.audit import audit, quick_findings
from fastffdi.data.layout import find_dataset
from fastffdi.demo.dataset import write_demo
from fastffdi.render.cpu.decode import decode


@pytest.fixture
def findings(planted):
    """findings(rows): kind → finding."""

    def find(rows, full=True):
        found = audit(planted(rows), 2, full)
        return found, {one.kind: one for one in found.findings}

    return find


@pytest.mark.parametrize("full", [True, False])
def test_a_clean_set_has_no_findings(findings, full):
    assert findings(clean(), full)[1] == {}


def test_validation_images_that_are_in_training_are_the_gravest(findings):
    rows = clean(20, 10)
    for k in range(4):
        rows["val"][k] = (f"leak{k}.jpg", rows["train"][10 + k][1], rows["train"][10 + k][2])
    rows["train"].append(("empty.jpg", b"", 0))
    found, kinds = findings(rows)
    assert list(kinds) == ["leak", "empty"]
    assert kinds["leak"].text == "4 images, 40 % of the validation set, are in the training set"
    pairs = zip(kinds["leak"].rows.tolist(), kinds["leak"].others.tolist(), strict=True)
    assert [(found.named(a), found.named(b)) for a, b in pairs] == [
        (("validation", f"leak{k}.jpg"), ("training", f"{10 + k}.jpg")) for k in range(4)
    ]


def test_near_duplicates_across_the_splits_are_a_warning_whatever_their_labels(findings):
    rows = clean(20, 10)
    for k in range(3):
        again = encoded(photo(k, 128, 128), quality=50)
        rows["val"].append((f"near{k}.jpg", again, (k + 1) % 2))
    found, kinds = findings(rows)
    assert list(kinds) == ["near-leak"]
    assert kinds["near-leak"].text == "3 images, 23 % of the validation set, look like training images"
    assert [found.named(row) for row in kinds["near-leak"].others.tolist()] == [
        ("training", f"0{k}.jpg") for k in range(3)
    ]


def test_copies_with_the_other_label_are_an_error(findings):
    rows = clean()
    rows["train"].append(("other.jpg", rows["train"][0][1], 1))
    found, kinds = findings(rows)
    assert kinds["label-conflict"].severity == "error"
    assert kinds["label-conflict"].text == "2 images have copies with the other label"
    assert [found.named(row)[1] for row in kinds["label-conflict"].rows.tolist()] == ["00.jpg", "other.jpg"]


def test_copies_within_a_split_are_a_warning(findings):
    rows = clean()
    rows["val"] += [("again.jpg", rows["val"][0][1], 0), ("once more.jpg", rows["val"][0][1], 0)]
    _, kinds = findings(rows)
    assert list(kinds) == ["copies"]
    assert kinds["copies"].text == "2 validation images are copies of others there"


def test_a_name_given_twice_is_found_without_reading_the_file(findings):
    rows = clean()
    rows["train"].append(rows["train"][0])
    _, kinds = findings(rows, full=False)
    assert kinds["copies"].text == "1 training image is copies of others there"


def test_near_duplicates_of_one_class_are_a_note_and_forgeries_none(findings):
    rows = clean()
    again = encoded(photo(0, 128, 128))
    rows["train"].append(("same.jpg", again, 0))
    _, kinds = findings(rows)
    assert list(kinds) == ["near-copies"]
    assert (kinds["near-copies"].severity, len(kinds["near-copies"].rows)) == ("note", 1)


def test_a_forgery_that_looks_like_its_original_is_no_finding(findings):
    rows = clean()
    rows["train"].append(("forged.jpg", encoded(photo(0, 128, 128)), 1))
    assert findings(rows)[1] == {}


def test_a_shortcut_names_its_figures(findings):
    rows = clean(24)
    rows["train"] = [
        (name, encoded(photo(k), quality=60 + 30 * (k % 2)), k % 2)
        for k, (name, _, _) in enumerate(rows["train"])
    ]
    found, _ = findings(rows)
    texts = [one.text for one in found.findings if one.kind == "shortcut"]
    assert "JPEG quality alone tells real from fake: AUC 1.00 in training, 0.50 in validation" in texts


def test_a_quick_check_gives_two_lines_and_is_silent_where_all_is_well(planted):
    rows = clean()
    dataset = planted(rows)
    assert quick_findings(dataset) == []
    for path, data in zip(dataset.train.paths(), (b"", b"text", jpeg(1)[:-300]), strict=False):
        with open(path, "wb") as file:
            file.write(data)
    lines = quick_findings(dataset)
    assert lines == [
        "error: 1 training image is empty, of zero bytes; copy them again, or delete their lines",
        "error: 1 training image is not an image; replace them, or delete their lines",
    ]


def test_a_quick_check_knows_what_a_full_one_found(planted):
    rows = clean()
    rows["val"][0] = ("leak.jpg", rows["train"][0][1], 0)
    dataset = planted(rows)
    assert quick_findings(dataset) == []
    audit(dataset, 2, full=True)
    assert quick_findings(dataset)[0].startswith(
        "error: 1 image, 12 % of the validation set, is in the training set"
    )


def test_the_demo_images_are_clean(tmp_path):
    write_demo(tmp_path / "demo", 60, 40, 0, lambda done, total: None)
    assert audit(find_dataset(tmp_path / "demo"), 2, full=True).findings == []


def test_one_face_of_validation_is_nearly_one_of_training(test_data):
    found = audit(find_dataset(test_data / "faces"), 2, full=True)
    assert [(one.kind, len(one.rows)) for one in found.findings] == [("near-leak", 1)]
    pair = (found.findings[0].rows[0], found.findings[0].others[0])
    assert [found.named(int(row))[1][:6] for row in pair] == ["200ee5", "202360"]
    assert found.shortcuts[0].reach == (pytest.approx(0.555, abs=0.01), pytest.approx(0.55, abs=0.01))


def test_a_copy_scaled_up_is_near(findings):
    rows = clean()
    rows["val"].append(("large.png", encoded(np.kron(photo(3), np.ones((4, 4, 1), np.uint8)), "PNG"), 1))
    assert decode(rows["val"][-1][1]).shape == (256, 256, 3)
    assert "near-leak" in findings(rows)[1]
