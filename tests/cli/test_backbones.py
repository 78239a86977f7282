import json
import subprocess
import sys

import pytest
import timm

from fastffdi.bench.backbone_speed import Speed
from fastffdi.cli.terminal import Terminal

pytestmark = pytest.mark.usefixtures("one_thread")

STEM = "test_resnet.r160_in1k  *         0.4  160x160"


def test_piped_it_is_aligned_text(fastffdi):
    code, out, err = fastffdi("backbones", "test_resnet")
    assert code == 0
    assert out.splitlines() == [
        "backbone                  parameters     size  its weights saw",
        f"{STEM}  imagenet-1k",
    ]
    assert err.startswith("* what the name without its tag means.")


def test_in_a_terminal_it_is_a_table(fastffdi, monkeypatch):
    monkeypatch.setattr(Terminal, "is_terminal", property(lambda self: True))
    _, out, _ = fastffdi("backbones", "test_resnet")
    assert "─────" in out
    assert "test_resnet.r160_in1k" in out
    assert "imagenet-1k" in out


def test_the_filter_leaves_out_what_the_rule_forbids(fastffdi, monkeypatch):
    monkeypatch.setattr("fastffdi.model.catalogue._parameters", lambda name: 4_200_000)
    _, every, _ = fastffdi("backbones", "mobilenetv3_large_100")
    _, allowed, _ = fastffdi("backbones", "--imagenet1k-only", "mobilenetv3_large_100")
    forbidden = ["mobilenetv3_large_100.miil_in21k_ft_in1k", "4.2", "224x224", "imagenet-21k,", "imagenet-1k"]
    assert forbidden in [line.split() for line in every.splitlines()]
    assert [line.split()[0] for line in allowed.splitlines()[1:]] == [
        "mobilenetv3_large_100.ra4_e3600_r224_in1k",
        "mobilenetv3_large_100.ra_in1k",
    ]


@pytest.fixture
def measured(monkeypatch):
    seen = []

    def measure(name, size, how):
        seen.append((name, size, how.kind, how.batch_size, str(how.device), how.precision.name))
        return Speed(problem="out of memory") if "vit" in name else Speed((10.0, 30.0, 20.0))

    monkeypatch.setattr("fastffdi.bench.backbone_speed.measure", measure)
    return seen


def test_speed_is_measured_on_request(fastffdi, measured):
    options = ("--speed", "inference", "--batch-size", 8, "--device", "cpu", "--amp", "off")
    code, out, err = fastffdi("backbones", "test_resnet", *options)
    assert code == 0
    assert measured == [("test_resnet.r160_in1k", (160, 160), "inference", 8, "cpu", "off")]
    assert out.splitlines()[1] == f"{STEM}      20.0  15.0 … 25.0  imagenet-1k"
    assert "images/s: inference on cpu, float32, as asked for, batches of 8 random images" in err
    assert "\nMeasured on " in err


def test_weights_of_one_model_and_size_are_measured_once(fastffdi, measured):
    _, out, _ = fastffdi("backbones", "levit_128*", "--speed", "training", "--device", "cpu")
    _, out, _ = fastffdi("backbones", "resnet18d", "--speed", "training", "--device", "cpu")
    assert [name for name, *_ in measured if name.startswith("resnet")] == ["resnet18d.ra2_in1k"]
    assert out.count("15.0 … 25.0") == 2


def test_a_model_that_cannot_be_measured_says_why_and_others_are(fastffdi, measured):
    code, out, _ = fastffdi("backbones", "test_vit", "--speed", "training", "--device", "cpu")
    assert code == 0
    assert "–  out of memory  imagenet-1k" in out


def test_the_record_holds_it_all(fastffdi, measured, tmp_path):
    file = tmp_path / "list.json"
    fastffdi("backbones", "test_resnet", "--json", file)
    (one,) = (found := json.loads(file.read_text()))["backbones"]
    assert found.keys() == {"timm", "backbones"}
    assert found["timm"] == timm.__version__
    assert one.pop("parameters") > 100_000
    assert one == {
        "name": "test_resnet.r160_in1k",
        "default": True,
        "size": [160, 160],
        "weights_data": "imagenet-1k",
        "imagenet1k_only": True,
    }
    fastffdi("backbones", "test_resnet", "--json", file, "--speed", "training", "--device", "cpu")
    found = json.loads(file.read_text())
    assert found["settings"]["kind"] == "training"
    assert found["settings"]["batch_size"] == 64
    assert found["backbones"][0]["speed"]["images_per_second"]["median"] == 20.0


def test_a_mistake_is_one_line_and_code_2(fastffdi, tmp_path):
    code, out, err = fastffdi("backbones", "efficientnt_b0")
    assert (code, out) == (2, "")
    assert err == "fastffdi: efficientnt_b0: no timm model has such a name, did you mean 'efficientnet_b0'?\n"
    assert fastffdi("backbones", "--json", tmp_path / "absent" / "list.json").code == 2


def test_help_needs_no_torch():
    look = (
        "import sys; from click.testing import CliRunner; from fastffdi.cli.main import cli; "
        "CliRunner().invoke(cli, ['backbones', '--help']); "
        "print(sorted({'torch', 'timm'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
