"""What a photo itself says of its quality, before anything is looked for in it: sharpness, light, colour.

All of it is measured on a copy of at most `SIDE` pixels, about the size at which plants are looked for, so
that a photo from more pixels is judged by the same detail and costs the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.types import Pixels

SIDE = 1600
SAMPLE = 2  # light and colour are taken from every second pixel of the coarse scale
COARSE = 4  # times smaller: the scale that detail is compared with
BURNT = 250  # the grey level from which nothing can be told apart
FLAT = 1e-3  # gradient energy of a surface without any texture
GRAIN_BLOCK = 16  # pixels; the quietest tenth of such blocks shows the noise, the others the picture
QUIET = 10  # per cent
# Immerkær, "Fast Noise Variance Estimation" (1996): what a plane or an edge along an axis leaves at zero.
_GRAIN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_GRAIN_SCALE = float(np.sqrt(np.pi / 2) / 6)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A photo at the coarse scale, with how much detail each of its pixels holds.

    `fine` and `coarse` are (h, w, 3): the energies xx, xy, yy of the brightness gradient at both scales.
    `grain` is the noise of each block in grey levels, coarser still.
    """

    small: Pixels
    fine: NDArray[np.float32]
    coarse: NDArray[np.float32]
    grain: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Quality:
    """Measures of a photo, or of the part of it where plants stand.

    `sharpness` compares the finest detail with detail four times coarser, in the direction where there is
    least of it; `motion` is how many times more there is across that direction, `direction` the direction in
    degrees from the horizontal (0–180, counter-clockwise). Grey levels are 0–255, shares 0–1.
    """

    sharpness: float
    motion: float
    direction: float
    light: float  # 95th percentile of grey
    contrast: float  # 1 − 5th percentile / 95th percentile of grey: 0 for one grey, 1 with black in it
    burnt: float  # share of pixels in which too much light left nothing to see
    green: float  # mean of Lab's a: below 0 greenish, above reddish
    blue: float  # mean of Lab's b: below 0 bluish, above yellowish
    colour: float  # mean distance of a pixel's colour from grey
    grain: float  # standard deviation of the noise, in grey levels


def frame(pixels: Pixels) -> Frame:
    """The photo, reduced and differentiated: all the work that measuring it takes."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(COARSE, round(width * scale)), max(COARSE, round(height * scale)))
    seen = _reduced(pixels, size)
    quarter = (max(1, size[0] // COARSE), max(1, size[1] // COARSE))
    small = cv2.resize(seen, quarter, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    grey = cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
    fine = _energies(grey)
    coarse = _energies(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False))
    reduced = [cv2.resize(part, quarter, interpolation=cv2.INTER_AREA) for part in fine]
    return Frame(small, np.dstack(reduced).astype(np.float32), np.dstack(coarse), _grain(grey))


def _reduced(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Halved as often as possible before the rest: OpenCV averages whole blocks ten times faster."""
    while min(pixels.shape[1] // size[0], pixels.shape[0] // size[1]) >= 2:
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        even = pixels[: 2 * half[1], : 2 * half[0]]
        pixels = cv2.resize(even, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if pixels.shape[1::-1] == size:
        return pixels
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _grain(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    rough = np.abs(cv2.filter2D(grey, cv2.CV_32F, _GRAIN))
    blocks = (max(1, grey.shape[1] // GRAIN_BLOCK), max(1, grey.shape[0] // GRAIN_BLOCK))
    return np.asarray(cv2.resize(rough, blocks, interpolation=cv2.INTER_AREA) * _GRAIN_SCALE, np.float32)


def _energies(grey: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """xx, xy and yy of the gradient per pixel."""
    x = cv2.Scharr(grey, cv2.CV_32F, 1, 0, scale=1 / 32)
    y = cv2.Scharr(grey, cv2.CV_32F, 0, 1, scale=1 / 32)
    return [x * x, x * y, y * y]


def measure(frame: Frame, where: NDArray[np.bool_] | None = None) -> Quality:
    """The whole photo, or the part of it that `where` marks: an image of any size that covers the photo."""
    inside = _fitted(where, frame.small.shape[:2])
    some = frame.small[::SAMPLE, ::SAMPLE][inside[::SAMPLE, ::SAMPLE]][None]  # one row of pixels
    grey = cv2.cvtColor(some, cv2.COLOR_BGR2GRAY)
    lab = cv2.cvtColor(some, cv2.COLOR_BGR2LAB)[0].astype(np.float32) - 128
    shares = np.cumsum(np.bincount(grey.ravel(), minlength=256)) / grey.size
    low, high = (float(np.searchsorted(shares, share)) for share in (0.05, 0.95))
    least, most, direction = _detail(frame.fine[inside].mean(axis=0), frame.coarse[inside].mean(axis=0))
    return Quality(
        sharpness=least,
        motion=most / least if least > 0 else 1.0,
        direction=direction,
        light=high,
        contrast=1 - low / high if high > 0 else 0.0,
        burnt=float((grey >= BURNT).mean()),
        green=float(lab[:, 1].mean()),
        blue=float(lab[:, 2].mean()),
        colour=float(np.hypot(lab[:, 1], lab[:, 2]).mean()),
        grain=float(np.percentile(frame.grain, QUIET)),
    )


def _fitted(where: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """`where` at the coarse scale; everywhere, if it marks nothing."""
    everywhere = np.ones(shape[:2], np.bool_)
    if where is None:
        return everywhere
    mask = cv2.resize(where.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST) > 0
    return np.asarray(mask) if mask[::SAMPLE, ::SAMPLE].any() else everywhere


def _detail(fine: NDArray[np.float32], coarse: NDArray[np.float32]) -> tuple[float, float, float]:
    """Least and most of fine by coarse gradient over all directions, and the direction of the least.

    A direction's energy is u'Au, with A the mean structure tensor (2, 2); the extremes of u'Fu / u'Cu are the
    eigenvalues of C⁻¹F. Dividing by the coarse scale takes out that rows of pots have more edges one way.
    """
    f = np.array([[fine[0], fine[1]], [fine[1], fine[2]]], np.float64)
    c = np.array([[coarse[0], coarse[1]], [coarse[1], coarse[2]]], np.float64)
    # A surface without texture has no sharpness; the floor keeps it at 0 instead of 0 / 0.
    root = np.linalg.cholesky(c + FLAT * np.eye(2))
    whitened = np.linalg.solve(root, np.linalg.solve(root, f).T)
    values, vectors = np.linalg.eigh((whitened + whitened.T) / 2)
    along = np.linalg.solve(root.T, vectors[:, 0])
    least, most = np.sqrt(np.maximum(values, 0.0)).tolist()
    return least, most, float(np.degrees(np.arctan2(-along[1], along[0])) % 180)
