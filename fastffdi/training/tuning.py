"""Which of a model's weights are trained, and which layers stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

from fastffdi.errors import SettingError
from fastffdi.training.optimisation import Optimisation, Tuned

_IN_WORDS = {"all": "all", "head": "head", "norm": "norm layers and head"}


@dataclass(frozen=True)
class Tuning:
    """What is trained of a model: `tune` as in Optimisation, and before it the head alone for some epochs.

    Raises SettingError where the model has no layers of that kind.
    """

    model: nn.Module
    tune: Tuned = "all"
    freeze: int = 0
    _own: list[nn.Parameter] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Some backbones have weights that are never trained, such as positions.
        own = [weight for weight in self.model.parameters() if weight.requires_grad]
        object.__setattr__(self, "_own", own)
        if self.tune == "norm" and next(_of_norms(self.model), None) is None:
            raise SettingError("tune norm: the backbone has no norm layers with weights; take head, or all")
        self._require(self.tune)  # so that an optimiser takes what will be trained at some time

    @classmethod
    def of(cls, model: nn.Module, how: Optimisation) -> Tuning:
        """That of a run."""
        return cls(model, how.tune, how.freeze)

    def begin(self, epoch: int) -> None:
        """Put the model in training mode for the epoch; a backbone that is frozen stays in eval mode."""
        tune: Tuned = "head" if epoch < self.freeze else self.tune
        self._require(tune)
        self.model.train(tune != "head")
        if tune == "head":
            for head in _heads(self.model):
                head.train()

    def described(self) -> str | None:
        """`training 2,050 of 4.0 M parameters (head)`; None where all are, from the beginning."""
        total = sum(weight.numel() for weight in self.model.parameters())
        if self.freeze:
            epochs = f"in the first {self.freeze} epochs" if self.freeze > 1 else "in the first epoch"
            then = f", then {_counted(self._count(self.tune))} ({_IN_WORDS[self.tune]})"
            return f"training {self._told('head', total)} {epochs}{then}"
        return None if self.tune == "all" else f"training {self._told(self.tune, total)}"

    def _told(self, tune: Tuned, total: int) -> str:
        return f"{_counted(self._count(tune))} of {_counted(total)} parameters ({_IN_WORDS[tune]})"

    def _count(self, tune: Tuned) -> int:
        return sum(weight.numel() for weight in self._weights(tune))

    def _require(self, tune: Tuned) -> None:
        self.model.requires_grad_(False)
        for weight in self._weights(tune):
            weight.requires_grad_(True)

    def _weights(self, tune: Tuned) -> list[nn.Parameter]:
        if tune == "all":
            return self._own
        heads = [weight for head in _heads(self.model) for weight in head.parameters()]
        norms = list(_of_norms(self.model)) if tune == "norm" else []
        return list({id(weight): weight for weight in [*norms, *heads]}.values())


def _heads(model: nn.Module) -> tuple[nn.Module, ...]:
    head = model.get_classifier()  # type: ignore[operator]  # every timm model has it
    return head if isinstance(head, tuple) else (head,)


def _of_norms(model: nn.Module) -> Iterator[nn.Parameter]:
    """The weights of norm layers: torch's and timm's many have the word in their names."""
    for module in model.modules():
        if "norm" in type(module).__name__.lower():
            yield from module.parameters(recurse=False)


def _counted(number: int) -> str:
    """`2,050`, and in millions where there are many: `4.0 M`."""
    return f"{number:,}" if number < 1e6 else f"{number / 1e6:.1f} M"
