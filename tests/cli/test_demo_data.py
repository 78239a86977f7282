import pytest
from rich.console import Console

from fastffdi.cli.demo_data import builtin_folder
from fastffdi.data.layout import find_dataset


def test_images_are_written_in_the_challenges_layout(fastffdi, tmp_path):
    folder = tmp_path / "the demo"
    code, out, err = fastffdi("demo-data", folder, "--train", 4, "--val", 2)
    assert (code, err) == (0, "")
    assert out == (
        f"4 training and 2 validation images in {folder}; next: fastffdi train --data '{folder}'\n"
    )
    found = find_dataset(folder)
    assert (found.train.class_counts(), found.val.class_counts()) == ({0: 2, 1: 2}, {0: 1, 1: 1})


def test_the_same_seed_gives_the_same_images(fastffdi, tmp_path):
    def written(name, seed):
        fastffdi("demo-data", tmp_path / name, "--train", 2, "--val", 2, "--seed", seed)
        return {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")}

    assert written("a", 3) == written("b", 3)
    assert written("c", 4) != written("a2", 3)


@pytest.mark.parametrize("option", ["--train", "--val"])
def test_images_come_in_pairs(fastffdi, tmp_path, option):
    code, out, err = fastffdi("demo-data", tmp_path / "demo", option, 3)
    assert (code, out) == (2, "")
    name = option.removeprefix("--")
    expected = f"demo data: {name}=3, but images come in pairs; give an even number from 2 up"
    assert err == f"fastffdi: {expected}\n"
    assert not (tmp_path / "demo").exists()


def test_a_folder_with_files_is_refused_and_left_alone(fastffdi, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    code, _, err = fastffdi("demo-data", tmp_path)
    assert code == 2
    assert err.startswith(f"fastffdi: {tmp_path}: already holds files; give a new or an empty folder")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_builtin_folder_is_announced(monkeypatch, tmp_path):
    monkeypatch.setattr("fastffdi.demo.dataset.demo_folder", lambda progress: tmp_path)
    screen = Console(record=True, soft_wrap=True)
    with screen.capture() as shown:
        assert builtin_folder(screen) == tmp_path
    assert shown.get() == f"no data given: using the built-in demo images in {tmp_path}\n"
