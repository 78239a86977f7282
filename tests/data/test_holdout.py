"""A group of images that is kept out of both splits."""

import pytest
from column_data import with_column

from fastffdi.data.holdout import hold_out, parse
from fastffdi.data.layout import find_dataset
from fastffdi.errors import DataError, SettingError

TRAIN = ["a.jpg,0,camera", "b.jpg,1,gan", "c.jpg,1,diffusion", "d.jpg,0,phone"]
VAL = ["e.jpg,0,camera", "f.jpg,1,gan", "g.jpg,1,diffusion"]


@pytest.fixture
def sources(tmp_path):
    """sources(train, val): a data set of label files with a column source, and of their images."""

    return lambda train, val: with_column(tmp_path, "source", train, val)


def names(parts):
    return [part.names.tolist() for part in parts]


def test_the_group_is_in_neither_split_and_the_other_class_stands_beside_it(sources):
    found = hold_out(sources(TRAIN, VAL), "source=gan")
    assert names([found.train, found.val]) == [["a.jpg", "c.jpg", "d.jpg"], ["e.jpg", "g.jpg"]]
    assert names(found.held_out) == [["b.jpg"], ["f.jpg"], ["e.jpg"]]
    assert found.description == (
        "sources; 2 images of source=gan held out, with 1 real validation images beside them"
    )


def test_a_group_of_both_classes_stands_alone(sources):
    rows = [row.replace("phone", "gan") for row in TRAIN]
    found = hold_out(sources(rows, VAL), "source=gan")
    assert names(found.held_out) == [["b.jpg", "d.jpg"], ["f.jpg"]]
    assert found.description.endswith("; 3 images of source=gan held out")


def test_a_limit_is_one_of_what_is_held_out_too(sources):
    rows = [f"{k}.jpg,{k % 2},{'gan' if k % 4 == 1 else 'other'}" for k in range(40)]
    found = hold_out(sources(rows, VAL), "source=gan").limit(6, 0)
    assert [len(part) for part in (found.train, *found.held_out)] == [6, 6, 1, 1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("source=gn", "--holdout source=gn: no image has that; 'source' holds camera, diffusion, gan, …"),
        ("sorce=gan", "no column 'sorce', did you mean 'source'?"),
    ],
)
def test_a_group_that_is_not_there_is_refused(sources, text, problem):
    with pytest.raises(DataError) as error:
        hold_out(sources(TRAIN, VAL), text)
    assert problem in str(error.value)


def test_something_has_to_be_left(sources):
    with pytest.raises(DataError, match="leaves no images to validate on; hold out a smaller group"):
        hold_out(sources(TRAIN, ["e.jpg,0,gan"]), "source=gan")


def test_folders_without_columns_say_what_to_do(tiny):
    with pytest.raises(DataError, match="no column 'source'"):
        hold_out(find_dataset(tiny), "source=gan")


@pytest.mark.parametrize("text", ["gan", "=gan", "source=", ""])
def test_a_group_is_a_column_and_a_value(text):
    with pytest.raises(SettingError, match="give COLUMN=VALUE, such as generator=stylegan"):
        parse(text)
    assert parse("source=a=b") == ("source", "a=b")
