"""Our own labels, as a phone sees them."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import segno
from numpy.typing import NDArray

from pipeline.codes import read_codes

SCENE = np.random.default_rng(3).integers(40, 160, (900, 1200, 3)).astype(np.uint8)


def label(text: str, side: int) -> NDArray[np.uint8]:
    """A QR code as `demeter places labels` prints it, so many pixels wide."""
    buffer = io.BytesIO()
    segno.make(text, error="m", micro=False).save(buffer, kind="png", scale=8, border=4)
    picture = cv2.imdecode(np.frombuffer(buffer.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)


def photo_of(*labels: NDArray[np.uint8], scale: float = 1.0) -> NDArray[np.uint8]:
    photo = cv2.GaussianBlur(cv2.resize(SCENE, None, fx=scale, fy=scale), (9, 9), 3)
    left = 60
    for one in labels:
        photo[80 : 80 + one.shape[0], left : left + one.shape[1]] = one
        left += one.shape[1] + 40
    return photo.astype(np.uint8)


def test_a_photo_without_a_label_says_nothing() -> None:
    assert read_codes(photo_of()) == ()


@pytest.mark.parametrize("turn", [None, cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180])
def test_a_label_is_read_however_it_is_held(turn: int | None) -> None:
    photo = photo_of(label("N01-NORTE-C07", 220))
    assert read_codes(photo if turn is None else cv2.rotate(photo, turn).astype(np.uint8)) == (
        "N01-NORTE-C07",
    )


def test_a_label_is_read_aslant_blurred_and_in_poor_light() -> None:
    photo = photo_of(label("QR-N01N-C07", 260))
    aslant = cv2.warpAffine(photo, cv2.getRotationMatrix2D((250, 250), 23, 1.0), (1200, 900))
    assert read_codes(aslant.astype(np.uint8)) == ("QR-N01N-C07",)
    assert read_codes(cv2.GaussianBlur(photo, (5, 5), 1.5).astype(np.uint8)) == ("QR-N01N-C07",)
    assert read_codes((photo * 0.35 + 20).astype(np.uint8)) == ("QR-N01N-C07",)


def test_a_small_label_in_a_large_photo_is_found_at_full_size() -> None:
    assert read_codes(photo_of(label("N02-SUR-C03", 110), scale=4.0)) == ("N02-SUR-C03",)


def test_all_labels_are_told_each_once() -> None:
    photo = photo_of(label("N01-NORTE-C02", 200), label("N01-NORTE-C01", 200), label("N01-NORTE-C02", 200))
    assert read_codes(photo) == ("N01-NORTE-C01", "N01-NORTE-C02")
