"""The ways to estimate the plants that were not seen, by the names that the settings use.

An estimator is made once per model and settings, and asked once per container. It answers with one row
per band, or with none where it has nothing to go by. A further method is one more line in `ESTIMATORS`.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.calibration import Calibration
from pipeline.config import PipelineConfig
from pipeline.estimators import bands, density, density_map, expected, perspective
from pipeline.evidence import Evidence
from pipeline.types import Estimate

# The unseen plants of the container with this index in the evidence; `LOOSE` for those that stand in none.
Estimator = Callable[[Evidence, int], tuple[Estimate, ...]]
Factory = Callable[[PipelineConfig, Calibration | None], Estimator]


def _expected(_: PipelineConfig, calibration: Calibration | None) -> Estimator:
    # A model without a calibration cannot say what its boxes are worth: then areas are measured.
    return expected.estimator(calibration) if calibration else perspective.estimate_hidden


def _density_map(config: PipelineConfig, calibration: Calibration | None) -> Estimator:
    # Networks without a density output are judged by their boxes alone.
    by_boxes = _expected(config, calibration)
    if calibration is None:
        return by_boxes
    by_both = density_map.estimator(calibration)
    return lambda evidence, index: (by_boxes if evidence.density is None else by_both)(evidence, index)


ESTIMATORS: dict[str, Factory] = {
    density_map.METHOD: _density_map,
    expected.METHOD: _expected,
    perspective.METHOD: lambda *_: perspective.estimate_hidden,
    bands.METHOD: lambda *_: bands.estimate_hidden,
    density.METHOD: lambda *_: density.estimate_hidden,
}


def make_estimator(config: PipelineConfig, calibration: Calibration | None) -> Estimator:
    """The estimator of the settings."""
    return ESTIMATORS[config.estimator](config, calibration)


def settled(evidence: Evidence, config: PipelineConfig, calibration: Calibration | None) -> Evidence:
    """The evidence with those plants seen that the method of the settings believes in."""
    if config.estimator == density_map.METHOD and calibration and evidence.density is not None:
        return density_map.trimmed(evidence, calibration)
    return evidence


def shortcomings(evidence: Evidence, config: PipelineConfig) -> tuple[str, ...]:
    """Sentences on what the method of the settings lacks for this photo."""
    return density.missing(evidence) if config.estimator == density.METHOD else ()
