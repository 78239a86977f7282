"""What others wrote, given to the command line: one line, nothing run, nothing read or written elsewhere."""

import ast
import csv
import os
import pickle
import shutil
import time
from pathlib import Path

import pytest
from test_imports import ROOT

PREDICT = ("--amp", "off", "--threads", 1, "--loader", "cpu")
TRAIN = ("--backbone", "test_efficientnet", "--epochs", 1, "--batch-size", 8, "--no-pretrained", *PREDICT)


@pytest.fixture
def best(tiny_run):
    return tiny_run.settings.output / "best.safetensors"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(ended, reason):
    """The command ended with one line, soon enough, and exit code 2."""
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("fastffdi: ")
    assert reason in ended.err
    lines = ended.err.splitlines()
    assert all(line.isprintable() for line in lines)
    return lines


#: Calls that may run what they read, and with which argument, or in which one file, they may stand.
CAREFUL = {
    "eval": None, "exec": None, "compile": None, "pickle.loads": None, "os.system": None, "os.popen": None,
    "yaml.load": None, "yaml.full_load": None, "yaml.unsafe_load": None, "yaml.Loader": None,
    "pickle.load": "loaders/process/child.py",  # what its parent has written
    "importlib.import_module": "render/device/python.py",  # the user's `python` steps
    "torch.load": "weights_only=True", "np.load": "allow_pickle=False",
}  # fmt: skip
OWN = ("f'fastffdi.", 'f"fastffdi.')  # modules of the package


def test_nothing_is_read_by_what_may_run_it():
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in CAREFUL:
                given, where = [ast.unparse(word) for word in node.keywords], str(path.relative_to(ROOT))
                own = bool(node.args) and ast.unparse(node.args[0]).startswith(OWN)
                if CAREFUL[name] not in (*given, where) and not own:
                    found.append(f"{where}, line {node.lineno}: {name}")
            assert not (isinstance(node, ast.keyword) and ast.unparse(node) == "shell=True"), path
    assert found == []


class Bomb:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.bin", "w.safetensors"])
def test_a_pickle_bomb_as_weights_or_checkpoint_is_refused_unrun(fastffdi, tiny, here, name):
    Path(name).write_bytes(pickle.dumps({"state_dict": Bomb()}))
    ended = fastffdi("train", "--data", tiny, "--weights", name, *TRAIN, "--pipeline", tiny / "recipe.yaml")
    assert len(refused(ended, f"weights {name}: ")) == 1
    assert (
        len(refused(fastffdi("predict", name, tiny / "valset"), f"checkpoint {name}: not a safetensors")) == 1
    )
    assert os.listdir() == [name]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "- &a0 x\n" + "".join(f"- &a{k} [{f'*a{k - 1}, ' * 9}]\n" for k in range(1, 40)),
            "more than 10,000",
        ),
        ("train: !!python/object/apply:os.system ['touch ran']", "is not YAML"),
        ("[" * 100_000, "nests values more than 50 deep"),
        (None, "is 1,024.0 MiB long, at most 256 KiB are read"),
    ],
    ids=["aliases", "code", "depth", "a gigabyte"],
)
def test_a_yaml_bomb_as_recipe_or_settings_is_refused_at_once(fastffdi, tiny, here, text, reason):
    if text is None:
        with open("own.yaml", "wb") as file:
            file.truncate(1 << 30)
    else:
        Path("own.yaml").write_text(text)
    began = time.monotonic()
    refused(fastffdi("train", "--data", tiny, "--pipeline", "own.yaml", *TRAIN), reason)
    refused(fastffdi("train", "--data", tiny, "--loader-settings", "own.yaml", *TRAIN), reason)
    assert time.monotonic() - began < 30
    assert os.listdir() == ["own.yaml"]


@pytest.fixture
def linked(tiny, here):
    """The data with one validation image behind a link out of it."""
    shutil.copytree(tiny, "data")
    os.rename("data/valset/03.jpg", "secret.jpg")
    os.symlink("../../secret.jpg", "data/valset/03.jpg")
    return Path("data")


def test_links_out_of_the_data_need_the_option_in_every_command(fastffdi, linked, best, here):
    recipe = ("--pipeline", linked / "recipe.yaml")
    commands = [
        ("train", "--data", linked, *recipe, *TRAIN, "--output", "run"),
        ("check", "--data", linked, "--quick"),
        ("cache", "--data", linked, *recipe, "--cache", "kept", "--backbone", "test_efficientnet"),
        ("predict", best, "--data", linked, *PREDICT, "--output", "out.csv"),
        ("predict", best, linked / "valset", *PREDICT, "--output", "out.csv"),
        ("predict", best, "--labels", linked / "valset_label.txt", "--images", linked / "valset", *PREDICT),
    ]
    for words in commands:
        (line,) = refused(fastffdi(*words), "03.jpg")
        assert line.endswith("; give --follow-symlinks if that is meant")
    assert sorted(os.listdir()) == ["data", "secret.jpg"]
    for words in commands[1:5]:
        assert fastffdi(*words, "--follow-symlinks").code in (0, 1)  # 1: what check finds


@pytest.mark.parametrize("command", ["preview", "bench-loader", "bench-train"])
def test_the_other_commands_take_links_of_training_images_as_well(fastffdi, linked, here, command):
    os.rename("data/trainset/00.jpg", "other.jpg")
    os.symlink("../../other.jpg", "data/trainset/00.jpg")
    refused(fastffdi(command, "--data", linked), "1 of 40 images lie behind links that lead out of data")


def test_a_file_that_is_named_is_read_wherever_it_leads(fastffdi, linked, best):
    ended = fastffdi("predict", best, linked / "valset/03.jpg", "secret.jpg", *PREDICT, "--output", "out.csv")
    assert ended.code == 0
    first, second = Path("out.csv").read_text().splitlines()[1:]
    assert first.split(",")[1] == second.split(",")[1]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "valset/../../secret.jpg"])
def test_names_that_leave_the_images_are_refused(fastffdi, linked, best, name):
    Path("list.csv").write_text(f"img_name\n{name}\n")
    for more in ((), ("--follow-symlinks",)):
        ended = fastffdi("predict", best, "--labels", "list.csv", "--images", linked, *PREDICT, *more)
        refused(ended, f"list.csv: line 2: '{name}' is not inside")


NAMES = [
    *(
        "<script>alert(1).jpg",
        "\x1b[2J\x1b]0;owned\x07.jpg",
        "a\nb.jpg",
        "[bold]x.jpg",
        "[",
        "].jpg",
        "[@].jpg",
    ),
    *(
        "\u202egpj.exe.jpg",
        "=cmd|' C'!A0.jpg",
        'a,b"c.jpg',
        "-rf.jpg",
        "~.jpg",
        "$(touch ran).jpg",
        "%s%n{0}.jpg",
    ),
    *(
        "a\\..\\..\\x.jpg",
        "\u2066\u200f.jpg",
        "CON.jpg",
        " .jpg",
        "\udcff.jpg",
        "x" * 200 + ".jpg",
        "x.\x1b[31mjpg",
    ),
]


@pytest.fixture
def odd(tiny, here):
    """A folder `data` with class folders and those names; of every two images one cannot be decoded."""
    for split in ("train", "val"):
        for label, kind in enumerate(("real", "fake")):
            folder = Path("data") / split / kind
            folder.mkdir(parents=True)
            for k, name in enumerate(NAMES):
                image = tiny / f"trainset/{(2 * k + label) % 40:02d}.jpg"
                (folder / name).write_bytes(image.read_bytes() if k % 2 else b"\xff\xd8\xff nothing")
    return here


def harmless(ended):
    """What was printed cannot act on a terminal."""
    assert all(line.isprintable() for line in (ended.out + ended.err).splitlines())
    return ended


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_whatever_images_are_called_nothing_is_written_elsewhere_and_names_are_shown_escaped(
    fastffdi, tiny, best, odd
):
    before = files(odd)
    os.mkdir("out")
    predict = ("predict", best, "data/val", *PREDICT, "--output", "out/submit.csv")
    for more in ((), ("--excel-safe",)):
        assert harmless(fastffdi(*predict, *more)).code == 3
    assert harmless(fastffdi(*predict, "--on-corrupt", "fail")).code == 1
    check = ("check", "--data", "data", "--json", "out/check.json", "--fix", "out/clean.csv")
    assert harmless(fastffdi(*check)).code == 1
    train = ("train", "--data", "data", "--pipeline", tiny / "recipe.yaml", *TRAIN, "--output", "out/run")
    assert harmless(fastffdi(*train, "--max-corrupt", 1)).code == 0
    assert harmless(fastffdi(*train, "--max-corrupt", 0.01, "--overwrite")).code == 1
    assert harmless(fastffdi("preview", "--data", "data/val", "--output", "out/sheet.png")).code == 1
    assert all(name == "out" or name.startswith("out/") for name in files(odd) - before)
    assert before <= files(odd)


def test_names_come_back_from_the_tables_as_they_are(fastffdi, best, odd):
    assert fastffdi("predict", best, "data/val", *PREDICT, "--output", "out.csv").code == 3
    with open("out.csv", encoding="utf-8", errors="surrogateescape", newline="") as table:
        names = [row["img_name"] for row in csv.DictReader(table)]
    assert sorted(names) == sorted(f"{kind}/{name}" for kind in ("real", "fake") for name in NAMES)
