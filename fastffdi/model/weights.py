"""A backbone's weights from a file someone else wrote: safetensors, or a torch state dict.

torch files are read with `weights_only=True`: by torch's restricted unpickler, which makes tensors and plain
containers, and refuses a file that asks for anything else.
"""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastffdi.errors import SettingError
from fastffdi.escapes import escaped

NESTS = ("state_dict", "model_state_dict", "model", "net")
PREFIXES = ("module.", "_orig_mod.", "model.")
_DEEPEST = 10


@dataclass(frozen=True)
class _Match:
    how: str
    tensors: dict[str, Tensor]


def load_weights(model: nn.Module, path: Path) -> str:
    """Load a backbone's weights into `model` and say in one sentence how they were matched.

    Tensors are matched by name; else in order, when count, parameter-name suffixes and shapes agree. A
    head (classifier) for another number of classes is dropped and the model keeps its own; everything
    else has to fit. Raises SettingError if the file cannot be read safely or does not fit.
    """
    given = _without_prefixes(read_tensors(path), model)
    head = _head_names(model)
    own = model.state_dict()
    match = _by_name(own, given, head) or _in_order(own, given, head)
    if match is None:
        raise SettingError(_misfit(path, own, given, head))
    fitting = {name: tensor for name, tensor in match.tensors.items() if tensor.shape == own[name].shape}
    kept = head.issubset(fitting)
    loaded = {name: tensor for name, tensor in fitting.items() if kept or name not in head}
    model.load_state_dict(loaded, strict=False)
    return f"{path.name}: {len(loaded)} tensors matched {match.how}; {_fate(head, match.tensors, kept)}"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or a torch state dict, nests unwrapped, on the CPU.

    Raises SettingError if there is no such file, it is of another kind, or reading it would run code.
    """
    if not path.is_file():
        raise SettingError(f"weights {path}: no such file")
    with path.open("rb") as file:
        start = file.read(9)
    content = _read_safetensors(path) if start[8:] == b"{" else _read_torch(path)
    tensors = _unwrap(content)
    if not tensors:
        raise SettingError(f"weights {path}: no tensors in it; save torch.save(model.state_dict(), FILE)")
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:  # the last: no room to map it
        raise SettingError(f"weights {path}: not a whole safetensors file ({_first_line(error)})") from error


def _read_torch(path: Path) -> object:
    _refuse_zip_bomb(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, which the user cannot change
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SettingError(
            f"weights {path}: {_why_refused(error)}; save it as safetensors, or as "
            "torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # arbitrary bytes make the reader raise anything
        raise SettingError(
            f"weights {path}: neither safetensors nor a torch state dict ({_first_line(error)})"
        ) from error


def _refuse_zip_bomb(path: Path) -> None:
    """Raise SettingError for a zip archive that unpacks to more than it holds: torch never compresses."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, struct.error):
        return  # torch says what is wrong with it
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise SettingError(
            f"weights {path}: a compressed archive, which torch.save does not write; save it as safetensors, "
            "or as torch.save(model.state_dict(), FILE)"
        )


def _why_refused(error: Exception) -> str:
    named = re.search(r"GLOBAL (\S+) was not an allowed global", str(error))
    if named:
        return f"refused, since reading it would run code ({escaped(named[1][:100])})"
    return "neither safetensors nor a torch state dict that can be read without running code"


def _first_line(error: Exception) -> str:
    return escaped((str(error).strip() or type(error).__name__).splitlines()[0][:200])


def _unwrap(content: object) -> dict[str, Tensor]:
    for _ in range(_DEEPEST):  # a mapping may hold itself
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in NESTS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        content = inner
    return {}


def _without_prefixes(given: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    own = model.state_dict().keys()
    while own.isdisjoint(given):
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in given)), None)
        if prefix is None:
            break
        given = {name[len(prefix) :]: tensor for name, tensor in given.items()}
    return given


def _head_names(model: nn.Module) -> frozenset[str]:
    """Names of the classifier's tensors, as timm's `get_classifier` marks it (distilled models have two)."""
    get_classifier: Any = getattr(model, "get_classifier", lambda: ())
    found = get_classifier()
    heads = tuple(found) if isinstance(found, (tuple, list)) else (found,)
    names = [name for name, module in model.named_modules() if any(module is head for head in heads)]
    keys = [key for key in model.state_dict() if not _counter(key)]
    return frozenset(key for key in keys if any(key.startswith(f"{name}.") for name in names))


def _counter(name: str) -> bool:
    # Absent from files of other frameworks, and of no influence on a batch norm that has a momentum.
    return name.endswith("num_batches_tracked")


def _by_name(own: Mapping[str, Tensor], given: Mapping[str, Tensor], head: frozenset[str]) -> _Match | None:
    names = {name for name in given if not _counter(name)}
    body = {name for name in own if not _counter(name)} - head
    if not body <= names or not names <= body | head:
        return None
    if any(given[name].shape != own[name].shape for name in body):
        return None
    return _Match("by name", {name: tensor for name, tensor in given.items() if name in own})


def _in_order(own: Mapping[str, Tensor], given: Mapping[str, Tensor], head: frozenset[str]) -> _Match | None:
    sources = [name for name in given if not _counter(name)]
    everything = [name for name in own if not _counter(name)]
    headless = [name for name in everything if name not in head]
    targets = everything if len(sources) == len(everything) else headless
    if _first_difference(own, given, sources, targets, head):
        return None
    pairs = zip(sources, targets, strict=True)
    how = "in order (names differ; count, suffixes and shapes agree)"
    return _Match(how, {target: given[source] for source, target in pairs})


def _first_difference(
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    sources: Sequence[str],
    targets: Sequence[str],
    head: frozenset[str],
) -> str | None:
    """Why the tensors do not match in order, or None if they do."""
    if len(sources) != len(targets):
        return f"{len(sources)} tensors against {len(targets)}"
    for source, target in zip(sources, targets, strict=True):
        suffixes_agree = source.rpartition(".")[2] == target.rpartition(".")[2]
        shapes_agree = target in head or given[source].shape == own[target].shape
        # A name that both know must mean itself, or equal shapes could hide an exchange.
        displaced = source in own and source != target
        if not suffixes_agree or not shapes_agree or displaced:
            shapes = tuple(given[source].shape), tuple(own[target].shape)
            return f"{escaped(source[:100])} {shapes[0]} against {target} {shapes[1]}"
    return None


def _fate(head: frozenset[str], found: Mapping[str, Tensor], kept: bool) -> str:
    if kept and head:
        return "head kept"
    present = [found[name] for name in head if name in found]
    if not present:
        return "no head in the file, the model keeps its own"
    classes = max(present, key=Tensor.dim).shape[0]
    return f"head of {classes} classes dropped, the model keeps its own"


def _misfit(path: Path, own: Mapping[str, Tensor], given: Mapping[str, Tensor], head: frozenset[str]) -> str:
    sources = [name for name in given if not _counter(name)]
    targets = [name for name in own if not _counter(name)]
    body = [name for name in targets if name not in head]
    shapes = [name for name in body if name in given and given[name].shape != own[name].shape]
    parts = [
        _listed("missing", [name for name in body if name not in given]),
        _listed("unexpected", [name for name in sources if name not in own]),
        _listed("other shape", shapes),
    ]
    found = sum(name in own for name in sources)
    if found < len(targets) / 2:  # then order was the likelier way
        parts.append(f"in order: {_first_difference(own, given, sources, targets, head)}")
    return (
        f"weights {path}: do not fit the backbone, {found} of {len(targets)} "
        f"tensors found by name; {'; '.join(part for part in parts if part)}; "
        "choose the --backbone they were saved from"
    )


def _listed(what: str, names: Sequence[str]) -> str:
    shown = escaped(", ".join(name[:100] for name in names[:3])) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {what} ({shown})" if names else ""
