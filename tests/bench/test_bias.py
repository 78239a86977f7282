import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastffdi.audit.survey import survey
from fastffdi.bench import machine
from fastffdi.data.layout import find_dataset

SCRIPT = "bias"


def test_images_are_saved_with_the_quality_of_their_class(script, tiny, tmp_path):
    script.write_set(tiny, tmp_path / "set", (95, 75), limit=8)
    data = find_dataset(tmp_path / "set")
    for split in (data.train, data.val):
        facts = survey(split, 1, full=False).facts
        assert facts["quality"].tolist() == [75 if label else 95 for label in split.labels]
        assert len(split) == 8
    original = find_dataset(tiny).val.limit(8, 0).with_sizes(1).sizes
    assert abs(data.val.with_sizes(1).sizes - original * 7 / 8).max() <= 1


@pytest.mark.parametrize(("found", "code"), [(("planted",), 0), ((), 1), (("planted", "aligned"), 1)])
def test_both_verdicts_have_to_be_right(script, tiny, tmp_path, monkeypatch, found, code):
    commands = []

    def run(words, check):
        commands.append(words[3:])
        if words[3] == "evaluate":
            file = Path(words[words.index("--json") + 1])
            factors = [{"fact": "JPEG quality", "found": file.parent.name in found}]
            model = {"figures": {"auc": {"value": 0.9}}, "factors": factors, "bias": []}
            file.write_text(json.dumps({"models": [model]}))

    monkeypatch.setattr(machine, "facts", dict)
    monkeypatch.setattr("subprocess.run", run)
    file = tmp_path / "bias.json"
    options = ["--backbone", "test_resnet", "--epochs", "1", "--limit", "4", "--threads", "1"]
    ended = CliRunner().invoke(script.main, [str(tiny), "--json", str(file), *options])
    assert ended.exit_code == code
    assert [words[0] for words in commands] == ["train", "evaluate"] * 2
    start, *pairs = commands[0][5:]
    assert start == "--no-pretrained"
    assert dict(zip(pairs[::2], pairs[1::2], strict=True)) == {
        "--backbone": "test_resnet", "--epochs": "1", "--lr": "0.001", "--batch-size": "16", "--threads": "1",
    }  # fmt: skip
    record = json.loads(file.read_text())
    assert record["planted"]["factors"][0]["found"] == ("planted" in found)
    assert record["aligned"]["auc"] == {"value": 0.9}
