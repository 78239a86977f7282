import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastffdi.data import layout
from fastffdi.data.labels import read_labels
from fastffdi.data.layout import find_dataset, find_validation, listed_dataset, plain_folder
from fastffdi.data.links import CURE, Links
from fastffdi.data.named import image_files
from fastffdi.errors import DataError

GIF = b"GIF89a"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders: `in`, which the user names, and `out`, with an image each."""
    monkeypatch.chdir(tmp_path)
    write("in/sub/a.jpg", "out/secret.jpg", "out/more/b.jpg")
    return tmp_path


def write(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(GIF)


def link(name: str, target: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(target, name)


def refusal(function, *given, **more) -> str:
    with pytest.raises(DataError) as error:
        function(*given, **more)
    assert str(error.value).isprintable()
    return str(error.value)


LEAVING = {
    "relative": "../out/secret.jpg",
    "roundabout": "sub/../../in/../out/secret.jpg",
    "absolute": "{here}/out/secret.jpg",
    "absent": "/nowhere/at/all.jpg",
    "parent": "..",
    "root": "/",
    "neighbour": "../in2/a.jpg",  # a name that begins as that of the folder
}
STAYING = {
    "relative": "sub/a.jpg",
    "roundabout": "../out/../in/./sub//a.jpg",
    "absolute": "{here}/in/sub/a.jpg",
    "absent": "sub/nothing.jpg",
    "itself": "link",
    "the folder": ".",
    "the folder with a slash": "../in/",
}


@pytest.mark.parametrize("kind", LEAVING)
def test_a_link_out_of_the_folder_leaves_it(here: Path, kind: str) -> None:
    link("in/link", LEAVING[kind].format(here=here))
    for folder, path in (("in", "in/link"), (here / "in", here / "in" / "link"), ("in/", "in/sub/../link")):
        assert Links(folder).leaves(path)
        assert not Links(folder, follow=True).leaves(path)


@pytest.mark.parametrize("kind", STAYING)
def test_a_link_within_the_folder_stays(here: Path, kind: str) -> None:
    link("in/link", STAYING[kind].format(here=here))
    assert not Links("in").leaves("in/link")
    assert not Links(here / "in").leaves(here / "in/link")


def test_links_of_links_and_links_in_folders_count() -> None:
    link("in/a", "b")
    link("in/b", "c/secret.jpg")
    link("in/c", "../out")
    links = Links("in")
    assert [links.leaves(f"in/{name}") for name in ("a", "b", "c", "c/secret.jpg", "sub/a.jpg")] == [
        True
    ] * 4 + [False]


def test_the_folder_itself_may_be_a_link_and_stand_behind_links(here: Path) -> None:
    link("named", "in")
    link("above", str(here))
    link("in/out.jpg", "../out/secret.jpg")
    for folder in ("named", "above/in", "above/named", str(here / "above" / "named")):
        links = Links(folder)
        assert not links.leaves(f"{folder}/sub/a.jpg")
        assert not links.leaves(here / "in" / "sub")
        assert links.leaves(f"{folder}/out.jpg")


def test_nothing_is_outside_of_the_root() -> None:
    link("in/link", "/etc/passwd")
    assert not Links("/").leaves("in/link")


@pytest.mark.parametrize("count", [2, 100])
def test_loops_and_long_chains_come_to_an_end(count: int) -> None:
    for k in range(count):
        link(f"in/l{k}", f"l{(k + 1) % count}/x")
    assert not Links("in").leaves("in/l0")
    for k in range(count):
        link(f"in/m{k}", f"m{k + 1}")
    link(f"in/m{count}", "../out")
    assert Links("in").leaves("in/m0") == (count < 40)  # Linux follows no more either


def test_a_target_of_very_many_parts_is_no_deep_recursion() -> None:
    link("in/link", "sub/" + "./" * 1900 + "../../out")
    assert Links("in").leaves("in/link")


def test_a_nul_in_a_name_is_no_link() -> None:
    assert not Links("in").leaves("in/a\0b")


NAMES = st.sampled_from(["a", "b", "c", "..", ".", "in", "out"])


@given(
    links=st.dictionaries(
        st.sampled_from(["in/a", "in/b", "in/sub/c", "out/a", "c"]), st.lists(NAMES, min_size=1, max_size=5)
    ),
    path=st.lists(NAMES, min_size=1, max_size=4),
)
def test_as_realpath_has_it(tmp_path_factory: pytest.TempPathFactory, links: dict, path: list[str]) -> None:
    here = tmp_path_factory.mktemp("x")
    (here / "in/sub").mkdir(parents=True)
    (here / "out").mkdir()
    for name, target in links.items():
        os.symlink("/".join(target), here / name)
    place = here / "in" / "/".join(path)
    real, inside = os.path.realpath(place), os.path.realpath(here / "in")
    if os.path.exists(place):  # of a loop both may say what they like
        assert Links(here / "in").leaves(place) == (real != inside and not real.startswith(f"{inside}/"))


# Folders.


def test_links_out_of_a_folder_are_refused_with_their_number_the_first_and_the_option() -> None:
    link("in/y.jpg", "../out/secret.jpg")
    link("in/sub/x.jpg", "../../out/secret.jpg")
    link("in/z", "../out/more")
    assert refusal(plain_folder, Path("in")) == (
        f"in: 3 links lead out of it, the first is sub/x.jpg; {CURE}"
    )
    found = plain_folder(Path("in"), follow_symlinks=True)
    assert found.names.tolist() == ["sub/a.jpg", "sub/x.jpg", "y.jpg", "z/b.jpg"]
    assert refusal(image_files, ["out/secret.jpg", "in"]).startswith("in: 3 links lead out of it")
    assert len(image_files(["out/secret.jpg", "in"], follow_symlinks=True)) == 5


def test_one_link_is_named_and_its_name_is_escaped() -> None:
    link("in/\x1b[2J\n.jpg", "../out/secret.jpg")
    assert refusal(plain_folder, Path("in")) == f"in: the link \\x1b[2J\\n.jpg leads out of it; {CURE}"


def test_what_is_no_image_by_its_name_may_lead_anywhere_and_is_not_looked_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link("in/readme.txt", "../out/secret.jpg")
    link("in/.hidden", "../out")
    monkeypatch.setattr("fastffdi.data.walk.format_of", None)
    assert plain_folder(Path("in")).names.tolist() == ["sub/a.jpg"]


def test_files_that_were_typed_are_read_wherever_they_lead() -> None:
    link("in/x.jpg", "../out/secret.jpg")
    assert image_files(["in/x.jpg", "in/../out/secret.jpg"]).names.tolist() == [
        "in/x.jpg",
        "in/../out/secret.jpg",
    ]


def class_folders() -> None:
    write(*(f"in/{split}/{kind}/a.jpg" for split in ("train", "val") for kind in ("real", "fake")))


@pytest.mark.parametrize("name", ["x.jpg", "folder"])
def test_links_out_of_class_folders_are_refused(name: str) -> None:
    class_folders()
    link(f"in/val/fake/{name}", "../../../out" + ("/secret.jpg" if name == "x.jpg" else ""))
    line = f"in: the link val/fake/{name} leads out of it; {CURE}"
    for function in (find_dataset, listed_dataset, find_validation):
        assert refusal(function, Path("in")) == line
        function(Path("in"), follow_symlinks=True)


@pytest.mark.parametrize("name", ["val", "val/fake"])
def test_a_class_folder_may_be_no_link_out(name: str) -> None:
    class_folders()
    write("out/real/c.jpg", "out/fake/c.jpg")
    os.rename(f"in/{name}", "in/before")
    link(f"in/{name}", "../out" if name == "val" else "../../out/fake")
    assert refusal(find_validation, Path("in")).endswith(
        f"out of it, the first is val/fake/; {CURE}"
    ) or refusal(find_validation, Path("in")).endswith(f"in: the link val/fake/ leads out of it; {CURE}")
    assert "val/fake/c.jpg" in find_validation(Path("in"), follow_symlinks=True).names


# Label files.


def labelled(*names: str, folder: str = "in") -> Path:
    file = Path(folder) / "list.csv"
    file.write_text(
        "".join(f"{name},1\n" for name in ("img_name,target", *names)).replace("target,1", "target")
    )
    return file


def read(file: Path, images: str | None = "in", **more):
    links = Links(images or file.parent, more.pop("follow", False))
    images_folder = None if images is None else Path(images)
    return read_labels(file, images_folder, targets="required", duplicates=True, links=links, **more)


def test_names_behind_links_out_are_refused_with_their_number_the_first_and_the_option() -> None:
    link("in/y.jpg", "../out/secret.jpg")
    link("in/z", "../out")
    link("in/fine.jpg", "sub/a.jpg")
    file = labelled("sub/a.jpg", "fine.jpg", "y.jpg", "z/secret.jpg", "y.jpg")
    assert refusal(read, file) == (
        f"in/list.csv: 3 of 5 images lie behind links that lead out of in, the first is y.jpg; {CURE}"
    )
    assert len(read(file, follow=True)) == 5


def test_folders_outside_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    link("in/z", "../out")
    listed, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda place: listed.append(place) or scandir(place))
    refusal(read, labelled("sub/a.jpg", "z/secret.jpg"))
    assert [Path(place).name for place in listed] == ["sub"]


def test_links_that_are_not_listed_do_not_matter() -> None:
    link("in/y.jpg", "../out/secret.jpg")
    assert read(labelled("sub/a.jpg")).names.tolist() == ["sub/a.jpg"]


def test_links_to_nowhere_are_refused_too_also_for_a_check() -> None:
    link("in/y.jpg", "/nowhere/y.jpg")
    assert "1 of 2 images lie behind links" in refusal(read, labelled("sub/a.jpg", "y.jpg"), absent=True)


@pytest.mark.parametrize("name", ["y", "in/y.jpg"])
def test_names_that_were_understood_otherwise_are_checked_by_their_files(name: str) -> None:
    link("in/y.jpg", "../out/secret.jpg")
    assert f"the first is y.jpg; {CURE}" in refusal(read, labelled(name))
    link("in/in/z", "../../out")
    assert f"the first is z/secret.jpg; {CURE}" not in refusal(read, labelled("in/z/secret.jpg"))


@pytest.mark.parametrize(
    "name",
    [
        "../out/secret.jpg",
        "{here}/out/secret.jpg",
        "sub/../../out/secret.jpg",
        "/etc/passwd",
        "../in/sub/a.jpg",
    ],
)
def test_names_that_leave_by_themselves_are_refused_whatever_is_followed(here: Path, name: str) -> None:
    file = labelled(name.format(here=here))
    for follow in (False, True):
        assert re.match(r"in/list\.csv: line 2: '.*' is not inside /", refusal(read, file, follow=follow))


def test_the_image_folder_itself_may_be_a_link_where_the_user_named_it() -> None:
    link("named", "in")
    file = labelled("sub/a.jpg", folder="out")
    assert read(file, "named").names.tolist() == ["sub/a.jpg"]


def challenge(folder: str = "in") -> None:
    for split in ("train", "val"):
        write(f"{folder}/{split}set/a.jpg", f"{folder}/{split}set/b.jpg")
        Path(f"{folder}/{split}set_label.txt").write_text("img_name,target\na.jpg,0\nb.jpg,1\n")


def test_a_data_folder_may_be_a_link_and_have_links_within() -> None:
    challenge()
    link("named", "in")
    os.rename("in/valset", "in/images")
    link("in/valset", "images")
    os.remove("in/trainset/a.jpg")
    link("in/trainset/a.jpg", "../images/a.jpg")
    assert len(find_dataset("named").train) == 2


@pytest.mark.parametrize("folder", ["in", "in/phase1"])
@pytest.mark.parametrize("what", ["valset/a.jpg", "valset", "valset_label.txt"])
def test_whatever_leads_out_of_a_data_folder_is_refused(folder: str, what: str, here: Path) -> None:
    challenge(folder)
    challenge("out")
    os.rename(f"{folder}/{what}", "before")
    link(f"{folder}/{what}", str(here / "out" / what))
    for function in (find_dataset, listed_dataset, find_validation):
        assert refusal(function, Path("in")).endswith(CURE)
        function(Path("in"), follow_symlinks=True)


def test_label_files_that_were_named_are_checked_by_their_image_folders() -> None:
    challenge()
    link("in/named.txt", str(Path("in/valset_label.txt").absolute()))
    words = [Path(f"in/{name}") for name in ("trainset_label.txt", "trainset", "named.txt", "valset")]
    assert len(layout.label_files(*words).val) == 2
    os.remove("in/valset/a.jpg")
    link("in/valset/a.jpg", "../trainset/a.jpg")  # within the data, but not within the folder that was named
    assert "1 of 2 images lie behind links that lead out of in/valset" in refusal(layout.label_files, *words)
    assert len(layout.label_files(*words, follow_symlinks=True).val) == 2


def test_an_image_is_never_opened_to_find_out(monkeypatch: pytest.MonkeyPatch) -> None:
    link("in/y.jpg", "../out/secret.jpg")
    links = Links("in")
    links.linked.add("y.jpg")
    monkeypatch.setattr("builtins.open", None)
    monkeypatch.setattr(os, "open", None)
    with pytest.raises(DataError):
        links.check_rows("x", "in", np.array(["y.jpg"], object), [""])
