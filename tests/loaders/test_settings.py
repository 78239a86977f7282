import pytest
import yaml

from fastffdi.errors import SettingError
from fastffdi.loaders.settings import LoaderSettings, Tuned, read_settings


@pytest.fixture
def file(tmp_path):
    return tmp_path / "loader.yaml"


def read(file, text):
    file.write_text(text)
    return read_settings(file)


def test_what_was_written_is_read_back(file):
    tuned = Tuned(threads=4, prefetch=1, batch_size=32, hw_decoder_load=0.65)
    tuned.write(file, ["one machine", "two\nlines"])
    assert read_settings(file) == tuned
    assert file.read_text() == (
        "# one machine\n# two\n# lines\nthreads: 4\nprefetch: 1\nbatch_size: 32\nhw_decoder_load: 0.65\n"
    )


def test_what_is_not_said_is_not_written(file):
    Tuned(threads=3).write(file, [])
    assert yaml.safe_load(file.read_text()) == {"threads": 3}
    assert read_settings(file) == Tuned(threads=3)


@pytest.mark.parametrize("text", ["", "# nothing but a remark\n", "{}"])
def test_a_file_may_say_nothing(file, text):
    assert read(file, text) == Tuned()


def test_nothing_else_stays_beside_the_file(file):
    Tuned(threads=1).write(file, [])
    assert [path.name for path in file.parent.iterdir()] == ["loader.yaml"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("thread: 2", "unknown key 'thread', did you mean 'threads'?"),
        ("[2, 3]", "[2, 3] is no mapping; write lines such as threads: 4"),
        ("threads: 0", "threads: 0 is not a whole number from 1 on"),
        ("prefetch: 1.5", "prefetch: 1.5 is not a whole number from 1 on"),
        ("batch_size: true", "batch_size: True is not a whole number from 1 on"),
        ("threads:", "threads: None is not a whole number from 1 on"),
        ("hw_decoder_load: 1.1", "hw_decoder_load: 1.1 is not a number from 0 to 1"),
        ("hw_decoder_load: .nan", "hw_decoder_load: nan is not a number from 0 to 1"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(file, text, problem):
    with pytest.raises(SettingError) as caught:
        read(file, text)
    assert str(caught.value) == f"{file}: {problem}"


def test_a_file_is_data_and_runs_nothing(file):
    with pytest.raises(SettingError, match="is not YAML: could not determine a constructor for the tag"):
        read(file, "threads: !!python/object/apply:os.getpid []")


def test_a_file_that_cannot_be_read_is_named(file, tmp_path):
    with pytest.raises(SettingError, match=r"loader\.yaml: no such file; `fastffdi tune -o FILE` writes one"):
        read_settings(file)
    with pytest.raises(SettingError, match="cannot be read as text"):
        read_settings(tmp_path)
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SettingError, match="cannot be read as text"):
        read_settings(file)


def test_a_loader_takes_what_the_file_says_and_defaults_for_the_rest():
    assert Tuned().settings(2) == LoaderSettings(2)
    assert Tuned(threads=8, prefetch=4, hw_decoder_load=0.0).settings(3, process=True) == LoaderSettings(
        3, 4, True, 0.0
    )
