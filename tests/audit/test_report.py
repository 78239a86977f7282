import json

import pytest
from planted import clean, encoded, photo

from fastffdi.audit.audit import audit
from fastffdi.audit.report import data, text


@pytest.fixture
def faulty(planted):
    rows = clean(20, 10)
    rows["val"][0] = ("leak.jpg", rows["train"][0][1], 0)
    rows["train"] += [(f"empty{k}.jpg", b"", k % 2) for k in range(5)]
    return audit(planted(rows), 2, full=True)


def test_a_clean_report_says_so(planted):
    first, *rest = text(audit(planted(clean()), 2, full=True)).splitlines()
    assert first == "20 files checked, all decoded and hashed; nothing found"
    assert rest[0] == ""
    assert rest[1] == "labels from facts about the files alone: AUC in training, in validation"


def test_a_report_says_what_and_what_to_do_gravest_first(faulty):
    lines = text(faulty).splitlines()
    assert lines[:8] == [
        "35 files checked, all decoded and hashed; 2 errors",
        "",
        "error    1 image, 10 % of the validation set, is in the training set",
        "         Take them out of the validation set, whose figures they flatter; --fix leaves them out.",
        "         leak.jpg = 00.jpg",
        "",
        "error    5 training images are empty, of zero bytes",
        "         Copy them again, or delete their lines.",
    ]
    assert lines[8] == "         empty0.jpg, empty1.jpg, empty2.jpg, …"


def test_a_quick_report_says_how_it_looked(planted):
    found = text(audit(planted(clean()), 2, full=False))
    assert found.splitlines()[0] == "20 files checked, headers and ends only; nothing found"


def test_all_of_it_is_data(faulty):
    found = json.loads(json.dumps(data(faulty)))
    assert (found["mode"], found["files"]) == ("full", 35)
    assert found["classes"] == {"training": {"real": 13, "fake": 12}, "validation": {"real": 5, "fake": 5}}
    leak, empty = found["findings"]
    assert leak["images"] == [
        {"split": "validation", "name": "leak.jpg", "like_split": "training", "like": "00.jpg"}
    ]
    assert (leak["kind"], leak["severity"], len(empty["images"])) == ("leak", "error", 5)
    assert found["unusable"][0] == {
        "split": "training",
        "name": "empty0.jpg",
        "problem": "empty",
        "reason": "no bytes",
    }
    facts = {one["fact"]: one for one in found["shortcuts"]}
    assert facts["width"] == {"fact": "width", "training": 0.5, "validation": 0.5, "warning": False}


def test_names_with_markup_and_escapes_are_shown_escaped(planted):
    rows = clean()
    rows["train"] += [
        ("[red]a.jpg", encoded(photo(50), "PNG"), 0),
        ("\x1b[2Jb.jpg", encoded(photo(51), "PNG"), 1),
    ]
    found = text(audit(planted(rows), 2, full=False))
    assert "[red]a.jpg, \\x1b[2Jb.jpg" in found
    assert "\x1b" not in found
