from pathlib import Path

import click
import pytest

from fastffdi.cli.predict import predict as predict_command
from fastffdi.errors import RunError
from fastffdi.loaders.settings import LoaderSettings, write_settings
from fastffdi.model.processes import Processes

DEFAULTS = {
    "device": "auto", "amp": "auto", "backend": "auto", "loading": LoaderSettings(), "cache": None,
    "compile": False, "on_corrupt": "skip", "processes": Processes(), "views": None, "pool": "mean",
    "scales": (1.0,),
}  # fmt: skip
OPTIONS = [
    ((), {}),
    (("--loader", "dali"), {"backend": "dali"}),
    (("--batch-size", 5), {"loading": LoaderSettings(batch_size=5)}),
    (("--threads", 17), {"loading": LoaderSettings(17)}),
    (("--loader-process",), {"loading": LoaderSettings(process=True)}),
    (("--cache", "kept"), {"cache": Path("kept")}),
    (("--loader-settings", "own.yaml"), {"loading": LoaderSettings(prefetch=5)}),
    (("--memory-cap", 1.5), {"loading": LoaderSettings(memory_cap=1.5)}),
    (("--max-megapixels", 9.5), {"loading": LoaderSettings(max_megapixels=9.5)}),
    (("--device", "cuda:1"), {"device": "cuda:1"}),
    (("--amp", "bf16"), {"amp": "bf16"}),
    (("--compile",), {"compile": True}),
    (("--on-corrupt", "fail"), {"on_corrupt": "fail"}),
    (("--views", "tiles:2"), {"views": "tiles:2"}),
    (("--pool", "topk:2"), {"pool": "topk:2"}),
    (("--scales", "0.75,1"), {"scales": (0.75, 1.0)}),
]


@pytest.mark.parametrize(("words", "changed"), OPTIONS, ids=["".join(words[:1]) for words, _ in OPTIONS])
def test_every_option_reaches_the_predictor(fastffdi, tiny, tmp_path, monkeypatch, words, changed):
    seen = []

    def predictor(checkpoint, **given):
        seen.append((checkpoint, given))
        raise RunError("enough")

    monkeypatch.setattr("fastffdi.inference.predict.Predictor", predictor)
    monkeypatch.chdir(tmp_path)
    write_settings(Path("own.yaml"), {"prefetch": 5}, [])
    assert fastffdi("predict", "a.safetensors", tiny / "valset", *words).err == "fastffdi: enough\n"
    assert seen == [((Path("a.safetensors"),), DEFAULTS | changed)]


def test_no_option_is_left_out():
    others = {"--data", "--labels", "--images", "--output", "--overwrite", "--fill"}  # what to read and write
    others |= {"--follow-symlinks", "--resume", "--excel-safe", "--decide", "--stability"}
    options = {option.opts[-1] for option in predict_command.params if isinstance(option, click.Option)}
    assert options - others == {words[0] for words, _ in OPTIONS if words}
