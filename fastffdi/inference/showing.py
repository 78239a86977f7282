"""Which loaders show images to which models: models that differ in mean and std alone share one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from fastffdi.inference.forward import Forward
from fastffdi.inference.member import Member
from fastffdi.inference.scoring import Look
from fastffdi.inference.views import Viewing
from fastffdi.loaders import factory
from fastffdi.loaders.memory_cap import cap_bytes
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import GIB, LoaderSettings
from fastffdi.recipe.lowering import template
from fastffdi.recipe.recipe import Recipe
from fastffdi.render.cpu.decode import SourceDecoder
from fastffdi.render.cpu.shared import SharedDecoder


@dataclass(frozen=True)
class Showing:
    """Images in one size and one kind of views, and the models that see them.

    Attributes:
        recipe: whose steps for evaluation are the viewing's
    """

    recipe: Recipe
    viewing: Viewing
    looks: tuple[Look, ...]


#: A model's forward pass for batches of so many images.
Compiled = Callable[[Forward, int], Forward]


def showings(members: Sequence[Member], rows: int, forward_of: Compiled, normalised: bool) -> list[Showing]:
    """What is to be shown of each image, `rows` of them at a time.

    With `normalised`, the loader does so itself, and only models with the same mean and std share it.
    """
    found: list[Showing] = []
    for number, member in enumerate(members):
        for viewing in member.viewings:
            recipe = replace(member.recipe, eval=viewing.steps)
            look = Look(number, forward_of(member.forward, rows * viewing.views))
            same = (k for k, one in enumerate(found) if _same(one, recipe, viewing, normalised))
            if (k := next(same, None)) is None:
                found.append(Showing(recipe, viewing, (look,)))
                continue
            own, other = (template(steps).normalize for steps in (found[k].recipe.eval, viewing.steps))
            look = look if own == other else look._replace(normalize=other)
            found[k] = replace(found[k], looks=(*found[k].looks, look))
    return found


def _same(one: Showing, recipe: Recipe, viewing: Viewing, normalised: bool) -> bool:
    end = None if normalised else -1
    steps = one.viewing.steps[:end] == viewing.steps[:end]
    return steps and (one.viewing.draws, one.recipe.decode) == (viewing.draws, recipe.decode)


def divided(loading: LoaderSettings, loaders: int, device: torch.device) -> LoaderSettings:
    """The settings of each of some loaders that work at the same time; a share of the memory is for none."""
    if loaders == 1:
        return loading
    cap = cap_bytes(loading, device) / GIB / (loaders + 1)
    return replace(loading, threads=math.ceil(loading.threads / loaders), memory_cap=cap)


def sharing(
    planners: Sequence[BatchPlanner], draws: Sequence[int], settings: LoaderSettings, together: bool
) -> list[BatchPlanner]:
    """The planners, with each image decoded once for all of them, and for all its draws, if `together`.

    Else, as where each loader is a process, once for the draws of each. Images that are decoded at a reduced
    size are decoded for each.
    """
    most_bytes = cap_bytes(settings)
    whole = [isinstance(one.decoder, SourceDecoder) and not one.decoder.scaled for one in planners]
    uses = sum(times for times, alike in zip(draws, whole, strict=True) if alike)
    everyones = SharedDecoder(planners[whole.index(True)].decoder, uses, most_bytes) if uses > 1 else None
    found = []
    for planner, times, alike in zip(planners, draws, whole, strict=True):
        if alike and everyones is not None and together:
            planner = replace(planner, decoder=everyones)
        elif alike and times > 1:
            planner = replace(planner, decoder=SharedDecoder(planner.decoder, times, most_bytes))
        found.append(planner)
    return found


def shares(backend: str, settings: LoaderSettings, device: torch.device) -> tuple[bool, bool]:
    """Whether a loader's decoder can be shared by an image's draws, and by several loaders."""
    return backend == "cpu", not factory.in_process(settings.process, device)
