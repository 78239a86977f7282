"""How a loader works: what may be tuned to a machine, since it changes no picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoaderSettings:
    """What `choose.build` is told besides the feed.

    threads          decoding threads; worker processes for torchvision
    prefetch         batches made before they are asked for; torchvision keeps its own number
    process          cpu: the threads live in a process of their own. None: where the model is on CUDA
    hw_decoder_load  dali on a GPU: share of pictures for the hardware decoder, 0 to 1. None: DALI decides;
                     with 0 the pictures do not depend on how they are batched
    """

    threads: int
    prefetch: int = 2
    process: bool | None = None
    hw_decoder_load: float | None = None
