"""QR and Data Matrix codes in a photo: a label in the picture says which place it shows."""

from __future__ import annotations

import cv2

from pipeline.types import Pixels

SIDE = 1600  # pixels of the longer side at the first look, which costs 35 ms
LONGEST = 200  # characters; what is longer is no label
MOST = 8


def read_codes(photo: Pixels) -> tuple[str, ...]:
    """What the codes in an upright photo, (h, w, 3) BGR, say; each once, in alphabetical order.

    A small picture is searched with care and, if that shows nothing, the whole one quickly: a label that is
    held before the lens is large, one that stands in the bed is small and straight.
    """
    import zxingcpp

    kinds = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.DataMatrix])
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    scale = SIDE / max(grey.shape)
    found = []
    if scale < 1:
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = zxingcpp.read_barcodes(small, formats=kinds)
        if not found:
            found = zxingcpp.read_barcodes(
                grey, formats=kinds, try_rotate=False, try_downscale=False, try_invert=False
            )
    else:
        found = zxingcpp.read_barcodes(grey, formats=kinds)
    texts = {one.text.strip() for one in found if one.valid}
    return tuple(sorted(text for text in texts if 0 < len(text) <= LONGEST))[:MOST]
