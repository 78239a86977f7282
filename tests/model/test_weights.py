import pickle
import zipfile
from collections import OrderedDict

import pytest
import timm
import torch
from safetensors.torch import save_file

from fastffdi.errors import SettingError
from fastffdi.model.weights import load_weights

COUNT = 88  # tensors of test_efficientnet, 13 of them batch norm counters
COUNTERS = 13


def backbone(num_classes=2, name="test_efficientnet"):
    return timm.create_model(name, num_classes=num_classes)


@pytest.fixture(scope="module")
def source():
    return backbone(1000).state_dict()


def saved(tmp_path, content):
    torch.save(content, tmp_path / "source.pth")
    return tmp_path / "source.pth"


def renamed(state):
    """As another library would name them: own stems, same suffixes, no batch norm counters."""
    plain = [item for item in state.items() if not item[0].endswith("num_batches_tracked")]
    return OrderedDict((f"layer{i}.{name.rpartition('.')[2]}", t) for i, (name, t) in enumerate(plain))


def without_head(state):
    return {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}


def assert_body_is(model, state):
    state = {name: t for name, t in without_head(state).items() if not name.endswith("num_batches_tracked")}
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())


def test_by_name_from_a_state_dict_dropping_the_foreign_head(tmp_path, source):
    model = backbone()
    head = model.classifier.weight.clone()
    sentence = load_weights(model, saved(tmp_path, source))
    assert sentence == (
        f"source.pth: {COUNT - 2} tensors matched by name; "
        "head of 1000 classes dropped, the model keeps its own"
    )
    assert_body_is(model, source)
    assert torch.equal(model.classifier.weight, head)


def test_by_name_from_safetensors_keeping_a_head_that_fits(tmp_path, source):
    save_file(source, tmp_path / "source.safetensors")
    model = backbone(1000)
    sentence = load_weights(model, tmp_path / "source.safetensors")
    assert sentence == f"source.safetensors: {COUNT} tensors matched by name; head kept"
    assert torch.equal(model.classifier.weight, source["classifier.weight"])


def test_a_file_without_a_head_leaves_the_models_own(tmp_path, source):
    sentence = load_weights(backbone(), saved(tmp_path, without_head(source)))
    assert sentence.endswith("matched by name; no head in the file, the model keeps its own")


def test_half_of_a_head_counts_as_foreign(tmp_path):
    state = backbone().state_dict()
    del state["classifier.bias"]
    assert "head of 2 classes dropped" in load_weights(backbone(), saved(tmp_path, state))


def test_both_heads_of_a_distilled_model_are_dropped(tmp_path):
    name = "deit_tiny_distilled_patch16_224"
    state = timm.create_model(name, num_classes=10, depth=1).state_dict()
    model = timm.create_model(name, num_classes=2, depth=1)
    sentence = load_weights(model, saved(tmp_path, state))
    assert sentence.endswith("head of 10 classes dropped, the model keeps its own")
    assert torch.equal(model.state_dict()["cls_token"], state["cls_token"])


@pytest.mark.parametrize("nest", ["state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model."])
def test_nests_and_prefixes_are_taken_off(tmp_path, source, nest, prefix):
    prefixed = {prefix + name: tensor for name, tensor in source.items()}
    model = backbone()
    sentence = load_weights(model, saved(tmp_path, {"epoch": 3, nest: prefixed}))
    assert f"{COUNT - 2} tensors matched by name" in sentence
    assert_body_is(model, source)


def test_in_order_when_names_differ(tmp_path, source):
    model = backbone()
    sentence = load_weights(model, saved(tmp_path, renamed(source)))
    assert sentence == (
        f"source.pth: {COUNT - COUNTERS - 2} tensors matched in order (names differ; count, suffixes and "
        "shapes agree); head of 1000 classes dropped, the model keeps its own"
    )
    assert_body_is(model, source)


def test_in_order_without_a_head(tmp_path, source):
    model = backbone()
    sentence = load_weights(model, saved(tmp_path, renamed(without_head(source))))
    assert "matched in order" in sentence
    assert sentence.endswith("no head in the file, the model keeps its own")
    assert_body_is(model, source)


def test_a_partial_match_is_refused_with_counts_and_names(tmp_path, source):
    state = dict(source)
    for name in ("conv_stem.weight", "bn1.weight", "bn1.bias", "bn1.running_mean"):
        state["other." + name] = state.pop(name)
    model = backbone()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(SettingError) as caught:
        load_weights(model, saved(tmp_path, state))
    message = str(caught.value)
    assert f"{COUNT - COUNTERS - 4} of {COUNT - COUNTERS} tensors found by name" in message
    assert "4 missing (conv_stem.weight, bn1.weight, bn1.bias, …)" in message
    assert "4 unexpected (other.conv_stem.weight, other.bn1.weight, other.bn1.bias, …)" in message
    assert "in order" not in message
    assert "\n" not in message
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_another_backbones_weights_are_refused(tmp_path):
    state = backbone(name="test_resnet").state_dict()
    with pytest.raises(SettingError, match=r"choose the --backbone they were saved from"):
        load_weights(backbone(), saved(tmp_path, state))


def test_another_shape_is_refused_and_named(tmp_path, source):
    state = dict(source) | {"conv_stem.weight": torch.zeros(1, 3, 3, 3)}
    with pytest.raises(SettingError, match=r"1 other shape \(conv_stem.weight\)"):
        load_weights(backbone(), saved(tmp_path, state))


def test_a_tensor_too_few_or_too_many_is_refused_and_named(tmp_path, source):
    fewer = {name: tensor for name, tensor in source.items() if name != "bn1.bias"}
    with pytest.raises(SettingError, match=r"; 1 missing \(bn1\.bias\);"):
        load_weights(backbone(), saved(tmp_path, fewer))
    with pytest.raises(SettingError, match=r"; 1 unexpected \(other\.bias\);"):
        load_weights(backbone(), saved(tmp_path, source | {"other.bias": torch.zeros(1)}))


def test_a_name_that_both_know_is_never_matched_to_another(tmp_path, source):
    # The same tensors in another order: shapes and suffixes could agree by chance.
    state = renamed(source)
    state = OrderedDict(("bn1.bias" if name == "layer7.bias" else name, t) for name, t in state.items())
    assert "bn1.bias" in state
    with pytest.raises(SettingError, match=r"in order: bn1\.bias \(\d+,\) against blocks\.0\.0\.bn1\.bias"):
        load_weights(backbone(), saved(tmp_path, state))


def test_half_precision_weights_become_the_models_own(tmp_path, source):
    state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in source.items()}
    model = backbone()
    load_weights(model, saved(tmp_path, state))
    assert model.conv_stem.weight.dtype == torch.float32
    assert torch.equal(model.conv_stem.weight, source["conv_stem.weight"].half().float())


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_file_that_would_run_code_is_refused_unrun(tmp_path):
    path = saved(tmp_path, {"state_dict": Evil(tmp_path / "ran")})
    with pytest.raises(SettingError, match=r"refused, since reading it would run code \(\w+\.open\)"):
        load_weights(backbone(), path)
    assert not (tmp_path / "ran").exists()


def test_a_bare_pickle_that_would_run_code_is_refused_unrun(tmp_path):
    path = tmp_path / "bare.pth"
    path.write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(SettingError, match=r"without running code|would run code"):
        load_weights(backbone(), path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8\xff\xe0 an image",
        b"PK\x03\x04 half a zip",
        b"\x10\0\0\0\0\0\0\0{not json",
        b"text\n" * 9,
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "odd.pth"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=r"weights .*odd\.pth: (neither|not a whole)") as caught:
        load_weights(backbone(), path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(SettingError, match="no such file"):
            load_weights(backbone(), path)


def test_a_file_without_tensors_is_refused(tmp_path):
    with pytest.raises(SettingError, match="no tensors in it"):
        load_weights(backbone(), saved(tmp_path, {"epoch": 3}))


def test_mappings_that_hold_themselves_come_to_an_end(tmp_path):
    endless = {}
    endless["state_dict"] = endless
    with pytest.raises(SettingError, match="no tensors in it"):
        load_weights(backbone(), saved(tmp_path, endless))


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path, source, monkeypatch):
    plain, bomb = saved(tmp_path, source), tmp_path / "bomb.pth"
    with zipfile.ZipFile(plain) as given, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for member in given.namelist():
            packed.writestr(member, given.read(member))
        packed.writestr("archive/data/0", bytes(50 << 20))
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(
        SettingError, match=r"bomb\.pth: a compressed archive, which torch.save does not write"
    ):
        load_weights(backbone(), bomb)


def test_names_of_tensors_are_shown_escaped_and_cut(tmp_path):
    name = "a\n\x1b[2J" + "x" * 9999
    with pytest.raises(SettingError) as caught:
        load_weights(backbone(), saved(tmp_path, {name: torch.zeros(2)}))
    assert str(caught.value).isprintable()
    assert "a\\n\\x1b[2Jxxx" in str(caught.value)
    assert len(str(caught.value)) < 1000
