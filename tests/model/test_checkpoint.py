import errno
import json
import math
import struct
from dataclasses import fields

import pytest
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from fastffdi.errors import SettingError
from fastffdi.files import DiskFull
from fastffdi.model import checkpoint
from fastffdi.model.backbone import build
from fastffdi.model.checkpoint import Checkpoint, Snapshot, read, restore, save
from fastffdi.model.weights import load_weights, read_tensors

RECIPE = {
    "train": [{"resize": {"size": [64, 64]}}, {"horizontal_flip": {"p": 0.5}}],
    "eval": [{"resize": {"size": [64, 64]}}],
    "mix": {"mixup": 0.2, "cutmix": None},
}
IMAGES = torch.linspace(-2, 2, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)


def described(backbone="test_efficientnet", **changes):
    values = {
        "backbone": backbone,
        "recipe": RECIPE,
        "size": (64, 64),
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "epoch": 7,
        "seed": 2**63,
        "metrics": {"auc": 0.987654321, "eer": None},
    }
    return Checkpoint(**(values | changes))


@pytest.fixture(scope="module")
def model():
    trained = build("test_efficientnet", pretrained=False)
    trained(IMAGES)  # moves the batch norms' statistics off their start
    return trained.eval()


@pytest.fixture
def path(tmp_path, model):
    save(described(), model, tmp_path / "best.safetensors")
    return tmp_path / "best.safetensors"


def test_what_was_saved_is_read_back(path):
    found = read(path)
    assert found == described()
    assert found.labels == ("real", "fake")
    assert {"python", "fastffdi", "torch", "timm"} <= found.versions.keys()
    assert found.versions["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_outputs_are_the_same_to_the_last_bit(path, model):
    _, restored = restore(path)
    images = IMAGES.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        assert torch.equal(restored(images), model(images))


def test_a_restored_model_is_in_eval_mode_and_channels_last(path):
    _, restored = restore(path)
    assert not restored.training
    assert restored.conv_stem.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_state_dict_is_saved_like_its_model(tmp_path, model, path):
    save(described(), model.state_dict(), tmp_path / "other.safetensors")
    assert (tmp_path / "other.safetensors").read_bytes() == path.read_bytes()


def test_saving_leaves_the_model_alone(tmp_path, model):
    before = {name: (tensor.data_ptr(), tensor.stride()) for name, tensor in model.state_dict().items()}
    save(described(), model, tmp_path / "again.safetensors")
    after = {name: (tensor.data_ptr(), tensor.stride()) for name, tensor in model.state_dict().items()}
    assert after == before


def test_two_names_for_one_tensor_are_both_saved(tmp_path):
    tied = torch.arange(6.0).reshape(2, 3)
    save(described(), {"a": tied, "b": tied, "c": tied.T}, tmp_path / "tied.safetensors")
    with checkpoint_tensors(tmp_path / "tied.safetensors") as found:
        assert torch.equal(found.get_tensor("b"), tied)
        assert torch.equal(found.get_tensor("c"), tied.T)


def checkpoint_tensors(path):
    from safetensors import safe_open

    return safe_open(path, framework="pt")


def test_reading_the_description_reads_no_weights(path, monkeypatch):
    monkeypatch.setattr(torch, "empty", None)
    monkeypatch.setattr("safetensors.torch.load_file", None)
    assert read(path).epoch == 7


def test_a_metric_that_is_not_finite_becomes_none(tmp_path, model):
    save(described(metrics={"loss": math.nan, "auc": math.inf}), model, tmp_path / "diverged.safetensors")
    assert read(tmp_path / "diverged.safetensors").metrics == {"loss": None, "auc": None}


def test_a_failed_save_leaves_the_old_file(path, model):
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save(described(recipe={"train": object()}), model, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_save_that_is_cut_short_leaves_the_old_file(path, model, monkeypatch):
    def full(tensors, part, metadata):
        part.write_bytes(b"half")
        raise OSError("no space left")

    before = path.read_bytes()
    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="no space"):
        save(described(), model, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_full_disk_leaves_the_old_file_and_says_how_much_room_is_needed(path, model, monkeypatch):
    def full(tensors, part, metadata):
        part.write_bytes(b"half")
        raise SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )  # as it says it

    before = path.read_bytes()
    monkeypatch.setattr("safetensors.torch.save_file", full)
    mib = -(-len(before) // 2**20)
    with pytest.raises(DiskFull, match=f"^{path}: the disk is full; {mib} MiB are needed; free some room"):
        save(described(), model, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("said", "code"), [("Permission denied (os error 13)", errno.EACCES), ("never seen", errno.EIO)]
)
def test_other_errors_of_the_disk_are_those_of_the_system(path, model, monkeypatch, said, code):
    def failing(tensors, part, metadata):
        raise SafetensorError(said)

    monkeypatch.setattr("safetensors.torch.save_file", failing)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - what it is says the number
        save(described(), model, path)
    assert caught.value.errno == code


def test_what_json_has_no_word_for_is_never_written(tmp_path, model):
    with pytest.raises(ValueError, match="JSON"):
        save(described(mean=(math.nan,) * 3), model, tmp_path / "odd.safetensors")


def test_a_checkpoint_serves_as_weights_for_training(path, model):
    fresh = build("test_efficientnet", pretrained=False)
    assert load_weights(fresh, path).endswith("matched by name; head kept")
    assert torch.equal(fresh.classifier.weight, model.classifier.weight)


def refused(path):
    with pytest.raises(SettingError) as caught:
        restore(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    assert "absent.safetensors: no such file; give one that" in refused(tmp_path / "absent.safetensors")


def test_a_torch_pickle_is_refused(tmp_path, model):
    torch.save(model.state_dict(), tmp_path / "model.pth")
    assert "model.pth: not a safetensors file, or cut short" in refused(tmp_path / "model.pth")


def test_a_file_cut_short_is_refused(path):
    path.write_bytes(path.read_bytes()[:-100])
    assert "cut short" in refused(path)


def test_bare_weights_are_refused_and_their_use_named(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "bare.safetensors")
    assert "fastffdi train --weights FILE" in refused(tmp_path / "bare.safetensors")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('{"format": 99}', "written by another version of fastffdi"),
        ('{"format": 0}', "written by another version of fastffdi"),
        ('{"format": 1}', "its header is damaged"),
        ("[]", "its header is damaged"),
        ("{", "its header is damaged"),
        (
            json.dumps({"format": 1, "size": [1, 1], "mean": [], "std": [], "labels": []}),
            "its header is damaged",
        ),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(tmp_path, document, expected):
    header = {checkpoint.HEADER: document}
    save_file({"weight": torch.zeros(2)}, tmp_path / "odd.safetensors", metadata=header)
    assert expected in refused(tmp_path / "odd.safetensors")


def test_weights_of_another_model_are_refused(tmp_path, model):
    save(described(backbone="test_resnet"), model, tmp_path / "other.safetensors")
    assert "its weights do not fit 'test_resnet' as timm" in refused(tmp_path / "other.safetensors")


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_weights_with_a_tensor_too_few_or_too_many_are_refused(tmp_path, model, change):
    state = dict(model.state_dict())
    if change == "missing":
        del state["classifier.bias"]
    else:
        state["classifier.scale"] = torch.ones(2)
    save(described(versions={"timm": "0.1.2"}), state, tmp_path / "other.safetensors")
    message = refused(tmp_path / "other.safetensors")
    expected = f"its weights do not fit 'test_efficientnet' as timm {timm.__version__} builds it"
    assert message.endswith(f"{expected}; install timm 0.1.2")


def test_a_small_file_that_names_a_large_backbone_is_refused_before_that_is_built(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        "timm.create_model", lambda *given, **more: made.append(given) or torch.nn.Linear(1, 1)
    )
    monkeypatch.setattr("fastffdi.model.backbone._with_quiet_head", lambda model: model)
    save(
        described(backbone="vit_huge_patch14_224"), {"weight": torch.zeros(2)}, tmp_path / "small.safetensors"
    )
    assert "its weights do not fit 'vit_huge_patch14_224' as timm" in refused(tmp_path / "small.safetensors")
    assert len(made) == 1  # on the meta device


def test_a_backbone_that_cannot_be_built_without_memory_is_built_with(path, model, monkeypatch):
    def built(name, pretrained):
        if torch.zeros(1).is_meta:
            raise NotImplementedError("no meta kernel")
        return build(name, pretrained)

    monkeypatch.setattr("fastffdi.model.backbone.build", built)
    assert torch.equal(restore(path)[1].conv_stem.weight, model.conv_stem.weight)


def forged(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
FORGED = {
    "length of 2^64 - 1": forged({"a": F32}, b"\0" * 8, 2**64 - 1),
    "length of a gigabyte": forged({"a": F32}, b"\0" * 8, 10**9),
    "length beyond the file": forged({"a": F32}, b"\0" * 8, 500),
    "no length": b"\0\0\0",
    "offsets outside": forged({"a": F32 | {"data_offsets": [0, 10**12]}}, b"\0" * 8),
    "a shape outside": forged({"a": F32 | {"shape": [10**11], "data_offsets": [0, 4 * 10**11]}}, b"\0" * 8),
    "negative offsets": forged({"a": F32 | {"data_offsets": [-8, 0]}}, b"\0" * 8),
    "offsets the other way round": forged({"a": F32 | {"data_offsets": [8, 0]}}, b"\0" * 8),
    "the same bytes twice": forged({"a": F32, "b": F32}, b"\0" * 8),
    "overlapping": forged({"a": F32, "b": F32 | {"data_offsets": [4, 12]}}, b"\0" * 12),
    "a hole": forged({"a": F32, "b": F32 | {"data_offsets": [16, 24]}}, b"\0" * 24),
    "a shape that overflows": forged({"a": F32 | {"shape": [2**40, 2**40]}}, b"\0" * 8),
    "an unknown dtype": forged({"a": F32 | {"dtype": "X\x1b[2J\n9"}}, b"\0" * 8),
    "no JSON": forged(b"{not json}", b"\0" * 8),
    "deep": forged(b'{"a":' + b"[" * 100_000, b"\0" * 8),
    "metadata that is no text": forged({"__metadata__": {checkpoint.HEADER: 1}, "a": F32}, b"\0" * 8),
    "metadata that is a list": forged({"__metadata__": [1], "a": F32}, b"\0" * 8),
    "no UTF-8": forged(b'{"\xff\xfe":1}'),
    "bytes behind the last tensor": forged({"a": F32}, b"\0" * 80),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_header_is_refused_in_one_line_by_checkpoints_and_weights(tmp_path, kind):
    (tmp_path / "forged.safetensors").write_bytes(FORGED[kind])
    message = refused(tmp_path / "forged.safetensors")
    assert "forged.safetensors: not a safetensors file, or cut short" in message
    with pytest.raises(SettingError, match=r"weights .*forged\.safetensors: (not a whole|neither)") as caught:
        read_tensors(tmp_path / "forged.safetensors")
    assert "\n" not in str(caught.value)
    assert (message + str(caught.value)).isprintable()


def test_a_file_that_there_is_no_room_for_is_refused(path, monkeypatch):
    def unable(path):
        raise RuntimeError("unable to mmap 1099511627868 bytes from file: Cannot allocate memory (12)")

    monkeypatch.setattr("safetensors.torch.load_file", unable)
    refused(path)
    with pytest.raises(
        SettingError, match=r"best\.safetensors: not a whole safetensors file \(unable to mmap"
    ):
        read_tensors(path)


ABSURD = [
    {"size": [10**9, 10**9]},
    {"size": [-8, 8]},
    {"mean": "grey"},
    {"labels": ["cat", "dog"]},
    {"backbone": "hf-hub:someone/model"},
    {"backbone": "../../model\n\x1b[2J"},
    {"surprise\n": 1},
]


@pytest.mark.parametrize("change", ABSURD, ids=str)
def test_absurd_values_are_refused_in_one_line(tmp_path, change):
    values = {f.name: getattr(described(), f.name) for f in fields(Checkpoint)}
    header = {checkpoint.HEADER: json.dumps({"format": 1} | values | change)}
    save_file({"weight": torch.zeros(2)}, tmp_path / "odd.safetensors", metadata=header)
    refused(tmp_path / "odd.safetensors")


def test_a_snapshot_is_of_its_moment_and_contiguous_when_it_is_asked_for():
    model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    before = model.weight.detach().clone()
    snapshot = Snapshot.of(model)
    with torch.no_grad():
        model.weight.zero_()
    kept = snapshot.tensors["weight"]
    assert torch.equal(kept, before)
    assert kept.is_contiguous()
    assert snapshot.tensors["weight"] is kept
