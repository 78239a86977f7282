"""JPEG compression on a batch: x (N, H, W, 3) uint8 in and out, bit-identical to the CPU renderer's codec.

What libjpeg-turbo does, without the entropy coding, which loses nothing: baseline, chroma halved along both
axes, the accurate integer transforms ("islow"), smooth ("fancy") upsampling. In integers, as there: sums,
products and shifts are exact on every device, whatever the precision of matrix products is set to.

Shapes: planes are (N, C, h, w) uint8, their blocks (N, 8, 8, C·B) int32: row and column in the block, then
which block. Formulas: ITU-T T.81, and libjpeg's jccolor, jcsample, jcprepct, jfdctint, jcdctmgr, jidctint,
jdsample, jdcolor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from fastffdi.recipe.kernels import Jpeg
from fastffdi.render.cpu.texture import round_trip
from fastffdi.render.device.tensors import Parameters, to_device

#: Pixels a side of a block, and of what is coded together: four blocks of luma and one of each chroma.
_BLOCK, _UNIT = 8, 16
#: Binary places dropped after the first and the second axis of a transform: 13 in each, but two between them.
_FIRST, _SECOND = 13 - 2, 13 + 2
#: Half of 1 in the colour conversions' 16 binary places, and the middle of chroma there.
_HALF, _MIDDLE = 1 << 15, 128 << 16

#: Factors of R, G, B and 1 in each of Y, Cb, Cr, in 1/65536. Halves round up in Y, down in Cb and Cr.
_YCC = (
    (19595, 38470, 7471, _HALF),
    (-11059, -21709, 32768, _MIDDLE + _HALF - 1),
    (32768, -27439, -5329, _MIDDLE + _HALF - 1),
)
#: Factors of Y, Cb, Cr and 1 in each of R, G, B, in 1/65536.
_RGB = (
    (65536, 0, 91881, _HALF - 128 * 91881),
    (65536, -22554, -46802, _HALF + 128 * (22554 + 46802)),
    (65536, 116130, 0, _HALF - 128 * 116130),
)

#: The cosine transform times √8, in 1/8192: coefficients by the first four values; the others mirror them, in
#: odd rows with the sign changed. Not rounded from cosines: each is a sum of jfdctint's rounded constants.
_COSINES = (
    (8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703),
    (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433),
    (2260, -6436, 9633, -11363),
)

#: The quantisation tables of T.81, annex K, for quality 50.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99,) * 8] * 4,
)


@dataclass(frozen=True)
class _Tables:
    """The constants, int32 on a device.

    Attributes:
        ycc, rgb: (3, 4) factors of three channels and 1
        forward: (4, 2, 4) even and odd coefficients in turn, by sums or differences of mirrored values
        inverse: (4, 2, 4) sums or differences, by even or odd coefficients
        quality_50: (2, 8, 8) quantisation of luma and chroma
    """

    ycc: torch.Tensor
    rgb: torch.Tensor
    forward: torch.Tensor
    inverse: torch.Tensor
    quality_50: torch.Tensor


@lru_cache
def _tables(device: torch.device) -> _Tables:
    # Scoring calls this in inference mode, whose own tensors are not fit for all that training does.
    with torch.inference_mode(False):
        ycc, rgb, cosines, quality_50 = (
            to_device(torch.tensor(values, dtype=torch.int32), device)
            for values in (_YCC, _RGB, _COSINES, (_LUMA, _CHROMA))
        )
        forward = cosines.view(4, 2, 4)
        return _Tables(ycc, rgb, forward, forward.transpose(0, 2), quality_50)


def jpeg(x: torch.Tensor, kernel: Jpeg, p: Parameters) -> torch.Tensor:
    """By the codec itself where the images are on the CPU: the same values, ten times as fast."""
    return _by_codec(x, kernel) if x.device.type == "cpu" else compressed(x, kernel, p)


def _by_codec(x: torch.Tensor, kernel: Jpeg) -> torch.Tensor:
    out = x.clone()
    for image, quality in zip(out.numpy(), kernel.quality.tolist(), strict=True):
        if quality:
            image[:] = round_trip(image, quality)
    return out


def compressed(x: torch.Tensor, kernel: Jpeg, p: Parameters) -> torch.Tensor:
    height, width = x.shape[1:3]
    tables, quantisation = _tables(x.device), quantisation_tables(p.quality)
    whole = _repeated(_repeated(x, 1), 2).permute(0, 3, 1, 2)
    luma, chroma = torch.split(_converted(whole, tables.ycc), [1, 2], dim=1)
    luma = _coded(luma, quantisation[:, 0], tables)[:, :, :height, :width]
    chroma = _coded(_halved(chroma, height), quantisation[:, 1], tables)
    planes = torch.cat((luma, _doubled(chroma, height, width)), dim=1)
    out = _converted(planes, tables.rgb).permute(0, 2, 3, 1).contiguous()
    return torch.where(p.quality.view(-1, 1, 1, 1) > 0, out, x)


def quantisation_tables(quality: torch.Tensor) -> torch.Tensor:
    """(N, 2, 8, 8) int32: what libjpeg divides coefficients of luma and chroma by, for qualities (N,) int32.

    Of quality 0, which leaves an image out, as of 1.
    """
    quality = quality.clamp(min=1).view(-1, 1, 1, 1)
    percent = torch.where(quality < 50, torch.full_like(quality, 5000) // quality, 200 - 2 * quality)
    return ((_tables(quality.device).quality_50 * percent + 50) // 100).clamp_(1, 255)


def _repeated(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Continued to whole units with what is last along an axis."""
    length = x.shape[axis]
    if length % _UNIT == 0:
        return x
    places = torch.arange(-(-length // _UNIT) * _UNIT, device=x.device)
    return x.index_select(axis, places.clamp_(max=length - 1))


def _converted(x: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Planes of other colours, by factors (3, 4) of the three planes and 1."""
    x = x.to(torch.int32, memory_format=torch.contiguous_format)
    first, second, third = torch.split(x, 1, dim=1)
    of_first, of_second, of_third, offset = factors[..., None, None].unbind(dim=1)
    out = torch.addcmul(offset, first, of_first).addcmul_(second, of_second).addcmul_(third, of_third)
    return out.bitwise_right_shift_(16).clamp_(0, 255).to(torch.uint8)


def _halved(chroma: torch.Tensor, height: int) -> torch.Tensor:
    """Means of 2 × 2, halves rounded down and up in turn; below the image its last row of means."""
    rows = chroma[:, :, ::2].short() + chroma[:, :, 1::2]
    sums = rows[..., ::2] + rows[..., 1::2]
    down, right = (torch.arange(side, device=sums.device) for side in sums.shape[2:])
    means = ((sums + (1 + right % 2).short()) >> 2).to(torch.uint8)
    return means.index_select(2, down.clamp_(max=(height - 1) // 2))


def _coded(plane: torch.Tensor, quantisation: torch.Tensor, tables: _Tables) -> torch.Tensor:
    """The planes after quantisation (N, 8, 8) of their coefficients."""
    blocks, divisor = _blocks(plane).sub_(128), quantisation[..., None]
    coefficients = _forward(_forward(blocks, 2, tables, _FIRST), 1, tables, _SECOND)
    # Coefficients are 8 times those of T.81, each axis giving √8; halves are rounded away from 0.
    nudged = coefficients.addcmul_(coefficients.sign(), 4 * divisor)
    quantised = torch.div(nudged, 8 * divisor, rounding_mode="trunc")
    values = _inverse(_inverse(quantised.mul_(divisor), 1, tables, _FIRST), 2, tables, _SECOND + 3)
    return _unblocked(values.add_(128).clamp_(0, 255).to(torch.uint8), plane)


def _blocks(plane: torch.Tensor) -> torch.Tensor:
    n, channels, height, width = plane.shape
    split = plane.reshape(n, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return split.permute(0, 3, 5, 1, 2, 4).reshape(n, _BLOCK, _BLOCK, -1).int()


def _unblocked(blocks: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    n, channels, height, width = like.shape
    split = blocks.view(n, _BLOCK, _BLOCK, channels, height // _BLOCK, width // _BLOCK)
    return split.permute(0, 3, 4, 1, 5, 2).reshape(like.shape)


def _forward(blocks: torch.Tensor, axis: int, tables: _Tables, bits: int) -> torch.Tensor:
    """The cosine transform along an axis of the blocks, 1 or 2, with so many binary places fewer."""
    x = blocks.flatten(0, axis - 1).flatten(2)
    first, last = x[:, :4], x[:, 4:].flip(1)
    pairs = torch.stack((first + last, first - last), dim=2)
    return _shifted(_product(tables.forward, pairs), bits).view(blocks.shape)


def _inverse(blocks: torch.Tensor, axis: int, tables: _Tables, bits: int) -> torch.Tensor:
    """The inverse transform along an axis of the blocks, 1 or 2, with so many binary places fewer."""
    x = blocks.flatten(0, axis - 1).flatten(2)
    even, odd = _product(tables.inverse, x.view(-1, 4, 2, x.shape[2])).unbind(dim=2)
    values = torch.cat((even + odd, (even - odd).flip(1)), dim=1)
    return _shifted(values, bits).view(blocks.shape)


def _product(factors: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(n, 4, 2, m): the matrices (4, 4) of even and odd, factors (4, 2, 4), times x (n, 4, 2, m)."""
    first, *others = factors[..., None].unbind(dim=2)
    out = first * x[:, :1]
    for place, factor in enumerate(others, start=1):
        out.addcmul_(factor, x[:, place : place + 1])
    return out


def _shifted(x: torch.Tensor, bits: int) -> torch.Tensor:
    """x / 2^bits, halves rounded up; x is written to."""
    return x.add_(1 << (bits - 1)).bitwise_right_shift_(bits)


def _doubled(chroma: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The planes of an image of that size, by triangles: 3/4 of the nearest value and 1/4 of the next."""
    chroma = chroma[:, :, : (height + 1) // 2, : (width + 1) // 2]
    if width <= 4:  # libjpeg repeats the values of images this narrow
        down, right = (torch.arange(side, device=chroma.device) // 2 for side in (height, width))
        return chroma.index_select(2, down).index_select(3, right)
    sums = _triangles(_triangles(chroma.short(), 2), 3)[:, :, :height, :width]
    half = 8 - torch.arange(width, device=sums.device) % 2
    return ((sums + half.short()) >> 4).to(torch.uint8)


def _triangles(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Along an axis for each value two: thrice itself and once the one before, or the one after."""
    length, end = x.shape[axis], axis + 1
    padded = torch.cat((x.narrow(axis, 0, 1), x, x.narrow(axis, length - 1, 1)), dim=axis)
    out = x.new_empty((*x.shape[:end], 2, *x.shape[end:]))
    for side in (0, 1):
        torch.add(padded.narrow(axis, 2 * side, length), x, alpha=3, out=out.select(end, side))
    return out.flatten(axis, end)
