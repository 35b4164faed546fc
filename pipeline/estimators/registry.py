"""The ways to estimate the plants that were not seen, by the names that the settings use.

An estimator is made once per model and settings, and asked once per container. It answers with one row
per band, or with none where it has nothing to go by. A further method is one more line in `ESTIMATORS`.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.calibration import Calibration
from pipeline.config import PipelineConfig
from pipeline.estimators import expected, perspective
from pipeline.evidence import Evidence
from pipeline.types import Estimate

# The unseen plants of the container with this index in the evidence; `LOOSE` for those that stand in none.
Estimator = Callable[[Evidence, int], tuple[Estimate, ...]]
Factory = Callable[[PipelineConfig, Calibration | None], Estimator]


def _expected(_: PipelineConfig, calibration: Calibration | None) -> Estimator:
    # A model without a calibration cannot say what its boxes are worth: then areas are measured.
    return expected.estimator(calibration) if calibration else perspective.estimate_hidden


ESTIMATORS: dict[str, Factory] = {
    expected.METHOD: _expected,
    perspective.METHOD: lambda *_: perspective.estimate_hidden,
}


def make_estimator(config: PipelineConfig, calibration: Calibration | None) -> Estimator:
    """The estimator of the settings."""
    return ESTIMATORS[config.estimator](config, calibration)
