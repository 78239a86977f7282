"""Mixed precision: which number format the model computes in, and why."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from fastffdi.errors import SettingError, did_you_mean

CHOICES = ("auto", "bf16", "fp16", "off")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "off": torch.float32}


@dataclass(frozen=True)
class Capabilities:
    """What this machine computes natively: `cuda_bf16`, and the unit behind bf16 on the CPU ("" if none)."""

    cuda_bf16: bool = False
    cpu_bf16: str = ""


@dataclass(frozen=True)
class Precision:
    """A chosen number format: `name` is bf16, fp16 or off, `reason` one sentence for the user."""

    name: str
    reason: str

    @property
    def dtype(self) -> torch.dtype:
        """What matrix products and convolutions compute in."""
        return DTYPES[self.name]

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context the forward pass runs in; without effect if `name` is off."""
        return torch.autocast(device.type, dtype=self.dtype, enabled=self.name != "off")

    def scaler(self) -> torch.amp.GradScaler:
        """A new gradient scaler, one per run; for all but fp16 it passes everything through."""
        return torch.amp.GradScaler("cuda", enabled=self.name == "fp16")


def choose(choice: str, device: torch.device, capabilities: Capabilities | None = None) -> Precision:
    """The precision for `--amp choice` on `device`; `capabilities` default to this machine's.

    Raises SettingError for an unknown choice, or one the device cannot compute.
    """
    if choice not in CHOICES:
        raise SettingError(f"--amp {choice}: unknown precision{did_you_mean(choice, CHOICES)}")
    able = detect(device) if capabilities is None else capabilities
    if choice == "off":
        return Precision("off", f"{float32_name(device, able)}, as asked for")
    if choice == "auto":
        return _automatic(device.type, able)
    _refuse_impossible(choice, device.type, able)
    return Precision(choice, _asked_for(choice, device.type, able))


def cast_weights(model: nn.Module, precision: Precision) -> nn.Module:
    """The model with the weights that autocast casts at every forward pass cast for good, in place.

    These are the weights and biases of convolutions and linear layers; norms and everything else stay
    float32, and memory formats as they are. The forward pass still runs in `precision.autocast`. It is for
    prediction alone: an optimiser needs its weights in float32.
    """
    from timm.layers import Conv2dSame

    # No subclasses: some standardise their weights first, which needs float32.
    castable = nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, Conv2dSame
    for module in model.modules():
        if type(module) in castable:
            module.to(precision.dtype)
    return model


def float32_name(device: torch.device, able: Capabilities) -> str:
    """What float32 means on the device, with convolutions as `device.tune_convolutions` sets them."""
    # TF32 came with the same generation of GPUs as bf16.
    tf32 = device.type == "cuda" and able.cuda_bf16
    return "float32, with TF32 in convolutions" if tf32 else "float32"


def detect(device: torch.device) -> Capabilities:
    """What this machine can do; CUDA is asked only if `device` is a CUDA device."""
    # Emulated bf16 does not count: it is slower than fp16.
    cuda = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return Capabilities(cuda, _cpu_bf16_unit())


def _automatic(kind: str, able: Capabilities) -> Precision:
    if kind == "cuda":
        if able.cuda_bf16:
            return Precision("bf16", "bf16, since this GPU has it")
        return Precision("fp16", "fp16 with gradient scaling, since this GPU has no bf16")
    if kind == "cpu" and able.cpu_bf16:
        return Precision("bf16", f"bf16, since this CPU has {able.cpu_bf16}")
    missing = "CPU has neither AMX nor AVX512-BF16" if kind == "cpu" else f"is the device '{kind}'"
    return Precision("off", f"float32, since this {missing}")


def _refuse_impossible(choice: str, kind: str, able: Capabilities) -> None:
    if choice == "fp16" and kind != "cuda":
        raise SettingError(f"--amp fp16: needs a CUDA device, not '{kind}'; use --amp auto, bf16 or off")
    if choice == "bf16" and kind == "cuda" and not able.cuda_bf16:
        raise SettingError("--amp bf16: this GPU has no bf16; use --amp auto, fp16 or off")


def _asked_for(choice: str, kind: str, able: Capabilities) -> str:
    if kind == "cpu" and not able.cpu_bf16:
        return "bf16, as asked for, though this CPU only emulates it: --amp off is faster"
    return f"{choice}, as asked for"


def _cpu_bf16_unit() -> str:
    flags = _cpu_flags()
    if "amx_bf16" in flags:
        return "AMX"
    return "AVX512-BF16" if "avx512_bf16" in flags else ""


def _cpu_flags() -> frozenset[str]:
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        return frozenset(name for name, value in capabilities().items() if value is True)
    try:  # torch before 2.10
        return frozenset(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return frozenset()
