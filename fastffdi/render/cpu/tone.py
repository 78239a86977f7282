"""Kernels that map pixel values, on one image (H, W, 3) uint8 at a time: image i of a kernel."""

from __future__ import annotations

import cv2
import numpy as np

from fastffdi.recipe.kernels import CONTRAST, EQUALIZE, NOTHING, Matrix, Stretch, Table
from fastffdi.render.cpu.geometry import Out

#: Weights of the grey that torchvision's contrast is about.
_GREY = np.array([[0.2989, 0.587, 0.114]], np.float32)
_VALUES = np.arange(256)


def matrix(image: np.ndarray, kernel: Matrix, i: int, out: Out = None) -> np.ndarray:
    return cv2.transform(image, kernel.matrix[i], dst=out)


def table(image: np.ndarray, kernel: Table, i: int, out: Out = None) -> np.ndarray:
    return cv2.LUT(image, kernel.table[i], dst=out)


def stretch(image: np.ndarray, kernel: Stretch, i: int, out: Out = None) -> np.ndarray:
    how = int(kernel.how[i])
    if how == NOTHING:
        return image
    if how == CONTRAST:
        return cv2.LUT(image, contrast(mean_grey(image), float(kernel.amount[i])), dst=out)
    channels = cv2.split(image)
    make = equalized if how == EQUALIZE else widened
    return cv2.merge([cv2.LUT(channel, make(channel)) for channel in channels], dst=out)


def equalized(channel: np.ndarray) -> np.ndarray:
    """(256,) uint8: the table of Pillow's equalisation of a channel (H, W)."""
    counts = cv2.calcHist([channel], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    step = (channel.size - counts[counts.nonzero()[0][-1]]) // 255
    if step == 0:
        return _VALUES.astype(np.uint8)
    table = (counts.cumsum() + step // 2) // step
    return np.concatenate([[0], table[:-1].clip(0, 255)]).astype(np.uint8)


def widened(channel: np.ndarray) -> np.ndarray:
    """(256,) uint8: the table from the lowest … highest value of a channel (H, W) to 0 … 255."""
    low, high, _, _ = cv2.minMaxLoc(channel)
    if low == high:
        return _VALUES.astype(np.uint8)
    scale = np.float32(high - low) * np.float32(1 / 255)
    return ((_VALUES - low).astype(np.float32) / scale).clip(0, 255).astype(np.uint8)


def contrast(grey: float, amount: float) -> np.ndarray:
    """(256,) uint8: the table to values `amount` times as far from the mean grey."""
    return np.rint(grey + amount * (_VALUES - grey)).clip(0, 255).astype(np.uint8)


def mean_grey(image: np.ndarray) -> float:
    # torchvision floors each pixel's grey; on average that subtracts 0.5.
    return float(np.floor(cv2.transform(image.astype(np.float32), _GREY)).mean())
