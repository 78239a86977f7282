"""What a report is of: a model's scores of a set of images, with all that was found out about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fastffdi.evaluation.decision import Decision
from fastffdi.evaluation.figures import Figure, Group
from fastffdi.evaluation.scored import Scored


@dataclass(frozen=True, eq=False)
class Assessed:
    """A model's scores of a set of images.

    Attributes:
        name: the checkpoint, or the table of scores, as the user named it
        set: the images, as the user named them
        threshold: the model's own, where it has one
        record: the same as plain data; of `stress`, `bias`, `decision` and `less_than_first` what is there
    """

    name: str
    set: str
    scored: Scored
    figures: Mapping[str, Figure]
    groups: list[Group] = field(default_factory=list)
    threshold: float | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reals(self) -> int:
        """How many images are real."""
        return int((self.scored.labels == 0).sum())

    @property
    def fakes(self) -> int:
        """How many images are fake."""
        return int((self.scored.labels == 1).sum())

    @property
    def both(self) -> bool:
        """Whether both classes are there."""
        return bool(self.reals and self.fakes)

    @property
    def fit(self) -> Decision | None:
        """The decision that was fitted to these scores."""
        data = self.record.get("decision")
        return None if data is None else Decision.from_data(data)

    @property
    def cut(self) -> float:
        """The threshold of scores that mistakes are counted at: the model's own, the one fitted, or 0.5."""
        if self.threshold is not None:
            return self.threshold
        return self.fit.threshold if self.fit is not None and self.fit.calibration is None else 0.5

    @cached_property
    def calibrated(self) -> np.ndarray:
        """(N,) scores after the calibration that was fitted to them; as they are without one."""
        return self.scored.scores if self.fit is None else self.fit.calibrated(self.scored.scores)
