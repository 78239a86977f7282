"""Kernels that filter or add artefacts, on one image (H, W, 3) uint8: image i of one."""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg

from fastffdi.recipe.kernels import Blur, Erase, Jpeg, Noise, Sharpen
from fastffdi.render.cpu.geometry import Out

#: A standard deviation of 1 as a factor on four summed bytes, in 1/65536.
ONE_LEVEL = 65536 / np.sqrt(4 * (256**2 - 1) / 12)

_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


def blur(image: np.ndarray, kernel: Blur, i: int, out: Out = None) -> np.ndarray:
    # In floating point: on uint8, OpenCV rounds the weights to 1/256.
    smooth = cv2.sepFilter2D(image, cv2.CV_32F, kernel.columns[i], kernel.rows[i])
    return cv2.convertScaleAbs(smooth, dst=out)


def sharpen(image: np.ndarray, kernel: Sharpen, i: int, out: Out = None) -> np.ndarray:
    amount = float(kernel.amount[i])
    sharp = cv2.addWeighted(image, amount, cv2.filter2D(image, -1, _SMOOTH), 1 - amount, 0, dst=out)
    sharp[[0, -1]] = image[[0, -1]]
    sharp[:, [0, -1]] = image[:, [0, -1]]
    return sharp


def jpeg(image: np.ndarray, kernel: Jpeg, i: int, out: Out = None) -> np.ndarray:
    return round_trip(image, int(kernel.quality[i]))


def round_trip(image: np.ndarray, quality: int) -> np.ndarray:
    """The image after JPEG compression with halved chroma, by libjpeg-turbo."""
    # Not simplejpeg: below quality 96 it always encodes with the fast, inexact transform.
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False))


def noise(image: np.ndarray, kernel: Noise, i: int, out: Out = None) -> np.ndarray:
    bell = _bell(image.size, int(kernel.key[i]))
    added = (bell * noise_factor(kernel.sigma[i : i + 1])[0] + (1 << 15)) >> 16
    return (image + (added + kernel.offset[i]).reshape(image.shape)).clip(0, 255).astype(np.uint8)


def noise_factor(sigma: np.ndarray) -> np.ndarray:
    """Standard deviations in pixel values as integer factors on four summed bytes, in 1/65536."""
    return np.rint(sigma * ONE_LEVEL).astype(np.int32)


def _bell(count: int, key: int) -> np.ndarray:
    """(count,) int32: sums of four bytes about 0, nearly normal, from a hash of the key and the index.

    The hash is MurmurHash3's 32-bit finaliser (Appleby, public domain).
    """
    word = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(key & 0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        word ^= word >> np.uint32(shift)
        word *= np.uint32(factor)
    word ^= word >> np.uint32(16)
    return word.view(np.uint8).reshape(count, 4).sum(axis=1, dtype=np.int32) - 510


def erase(image: np.ndarray, kernel: Erase, i: int, out: Out = None) -> np.ndarray:
    top, left, bottom, right = kernel.box[i].tolist()
    erased = image.copy()
    erased[top:bottom, left:right] = kernel.fill
    return erased
