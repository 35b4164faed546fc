"""Made-up frames, and people who count them without a mistake."""

from __future__ import annotations

import numpy as np

from pipeline.audit.records import Frame


def a_population(seed: int, frames: int, photos: int = 10) -> list[Frame]:
    """Frames of beds: some crowded, some nearly empty, small ones far away."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(frames):
        far = bool(rng.integers(2))
        plant = float(rng.uniform(8, 14) if far else rng.uniform(20, 40))
        side = round(4 * plant)
        seen = int(rng.choice([0, rng.poisson(4), rng.poisson(14)], p=[0.1, 0.3, 0.6]))
        hidden = float(rng.uniform(0, 0.3) * seen)
        x, y = 1000 * (i // photos), i * 7
        made.append(Frame(i % photos, x, y, x + side, y + side, seen, hidden, plant, far))
    return made


def true_plants(frames: list[Frame], factor: float, seed: int, unlike: float = 0.0) -> dict[Frame, int]:
    """What a person would count in each frame: the machine is off by `factor`, by chance on each frame and,
    with a standard deviation of `unlike`, on each photo; in empty frames it missed some plants."""
    rng = np.random.default_rng(seed)
    own = {photo: rng.normal(0, unlike) for photo in sorted({frame.session_id for frame in frames})}
    return {
        frame: int(rng.poisson(0.5))
        if frame.expected == 0
        else max(0, round(frame.expected * (factor + own[frame.session_id]) + rng.normal(0, 1.2)))
        for frame in frames
    }
