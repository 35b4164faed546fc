"""Change the light, the colours and the sharpness of a training picture."""

from __future__ import annotations

import cv2
import numpy as np

from tools.train.truth import Pixels

Random = np.random.Generator


def degrade(pixels: Pixels, random: Random) -> Pixels:
    """What another sun, another camera and another compression would have made of it."""
    pixels = relight(pixels, random)
    if random.random() < 0.2:
        pixels = shade(pixels, random)
    if random.random() < 0.3:
        pixels = blur(pixels, random)
    if random.random() < 0.25:
        pixels = add_noise(pixels, random)
    if random.random() < 0.3:
        pixels = compress(pixels, random)
    return pixels


def relight(pixels: Pixels, random: Random) -> Pixels:
    """Exposure, contrast, gamma and colour cast as one table per channel, then saturation."""
    level = np.linspace(0, 1, 256, dtype=np.float32)
    gamma = np.exp(random.normal(0, 0.25))
    contrast, exposure = random.uniform(0.75, 1.3), np.exp(random.normal(0, 0.2))
    cast = np.exp(random.normal(0, 0.10, 3))
    curve = (level**gamma - 0.5) * contrast + 0.5
    table = np.clip(255 * exposure * curve[:, None] * cast, 0, 255).astype(np.uint8)
    pixels = cv2.LUT(pixels, table[None])
    saturation = random.uniform(0.4, 1.4)
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(pixels, saturation, grey, 1 - saturation, 0)


def shade(pixels: Pixels, random: Random) -> Pixels:
    """Darken a band, as beams and netting do in hard sun."""
    height, width = pixels.shape[:2]
    angle = random.uniform(0, 2 * np.pi)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    across = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    middle = random.uniform(across.min(), across.max())
    half = random.uniform(0.03, 0.35) * max(width, height)
    edge = random.uniform(1, 12)  # pixels of penumbra
    inside = np.clip((half - np.abs(across - middle)) / edge, 0, 1)
    factor = 1 - random.uniform(0.25, 0.7) * inside
    return (pixels * factor[..., None]).astype(np.uint8)


def blur(pixels: Pixels, random: Random) -> Pixels:
    """Out of focus, or the resolution of a cheaper phone."""
    if random.random() < 0.5:
        return cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.4, 1.3))
    height, width = pixels.shape[:2]
    factor = random.uniform(0.5, 0.9)
    small = cv2.resize(pixels, (int(width * factor), int(height * factor)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def add_noise(pixels: Pixels, random: Random) -> Pixels:
    noise = np.empty(pixels.shape, np.int16)
    cv2.setRNGSeed(int(random.integers(2**31)))
    cv2.randn(noise, 0, random.uniform(2, 12))
    return cv2.add(pixels, noise, dtype=cv2.CV_8U)


def compress(pixels: Pixels, random: Random) -> Pixels:
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(30, 90))]
    return cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR)
