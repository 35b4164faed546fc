"""The evidence of one photo as a file: what `demeter estimate` starts from when the pixels are long gone.

A .npz of plain arrays: numbers and bytes, nothing that runs. A photo of 12 megapixels with 800 plants takes
about 300 kB, most of it the photo at working scale. What is read is checked, piece by piece, before
anything is made of it: files rot, and folders are open to others.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import StorageError
from pipeline.evidence import Evidence
from pipeline.quality import Quality
from pipeline.regions import LOOSE, working_size
from pipeline.types import Container, ContainerKind, Detections, Polygon, Role, Thing

VERSION = 1  # of the format; a file with another one is refused
LARGEST = 64 << 20  # bytes of a file, and of all that is in it
LARGEST_SIDE = 100_000  # pixels of a photo
ARRAYS = {
    "head": "|u1",
    "boxes": "<f4",
    "scores": "<f4",
    "classes": "<i2",
    "cut": "|b1",
    "sure": "|b1",
    "owner": "<i4",
    "zooms": "<f4",
    "pots": "<f4",
    "pot_scores": "<f4",
    "pots_owner": "<i4",
    "corners": "<f4",
    "density": "<f2",
    "jpeg": "|u1",
}

Arrays = dict[str, NDArray[Any]]
# What the readers of zip, npy, JSON and JPEG raise for bytes that are none.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError),
    *(KeyError, TypeError, ValueError, Image.DecompressionBombError),
)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What is kept of a photo. `quality` is that of the part which shows the bed; `network` names the weights
    that found the boxes."""

    evidence: Evidence
    quality: Quality
    network: str
    phash: int | None = None


def pack(kept: Kept) -> bytes:
    """The same evidence gives the same bytes."""
    evidence, found = kept.evidence, kept.evidence.found
    polygons = [container.polygon for container in evidence.containers]
    density = evidence.density if evidence.density is not None else np.empty((0, 0))
    arrays: Arrays = {
        "head": np.frombuffer(json.dumps(_head(kept), sort_keys=True).encode(), np.uint8),
        "boxes": found.boxes,
        "scores": found.scores,
        "classes": found.classes,
        "cut": found.cut,
        "sure": evidence.sure,
        "owner": evidence.owner,
        "zooms": evidence.zooms if evidence.zooms is not None else np.empty(0),
        "pots": evidence.pots.boxes,
        "pot_scores": evidence.pots.scores,
        "pots_owner": evidence.pots_owner,
        "corners": np.concatenate(polygons) if polygons else np.empty((0, 2)),
        "density": density,
        "jpeg": np.frombuffer(evidence.jpeg, np.uint8),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, kind in ARRAYS.items():
            with archive.open(f"{name}.npy", "w") as stream:
                plain = arrays[name].astype(kind, order="C")
                np.lib.format.write_array(stream, plain, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _head(kept: Kept) -> dict[str, Any]:
    evidence = kept.evidence
    return {
        "version": VERSION,
        "width": evidence.width,
        "height": evidence.height,
        "zoom": evidence.zoom,
        "has_density": evidence.density is not None,
        "has_zooms": evidence.zooms is not None,
        "density_cell": evidence.density_cell,
        "containers": [
            {
                "kind": container.kind.value,
                "role": container.role.value,
                "score": container.score,
                "corners": len(container.polygon),
            }
            for container in evidence.containers
        ],
        "quality": asdict(kept.quality),
        "network": kept.network,
        "phash": kept.phash,
    }


def unpack(content: bytes, name: str) -> Kept:
    """What `pack` was given. `name` is what messages call the file. Raises StorageError for anything that
    `pack` cannot have made."""
    try:
        return _parse(_arrays(content))
    except _DAMAGE as error:
        raise StorageError(
            f"the evidence file {name} is damaged ({error}); "
            "restore it from a backup, or count the photo again"
        ) from error


def _arrays(content: bytes) -> Arrays:
    """The arrays of the file, each of the type that it must have."""
    if len(content) > LARGEST:
        raise ValueError(f"it has {len(content)} bytes, which no evidence has")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        if sorted(part.filename for part in parts) != sorted(f"{name}.npy" for name in ARRAYS):
            raise ValueError("its parts are not those of evidence")
        unpacked = sum(part.file_size for part in parts)
        if unpacked > LARGEST:  # zipfile reads no more of a part than it announces
            raise ValueError(f"unpacked it would have {unpacked} bytes, which no evidence has")
        return {name: _array(archive, name, np.dtype(kind)) for name, kind in ARRAYS.items()}


def _array(archive: zipfile.ZipFile, name: str, kind: np.dtype[Any]) -> NDArray[Any]:
    """One array. Its header is held against its bytes before memory is set aside for it."""
    with archive.open(f"{name}.npy") as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError(f"its {name} are of another version of the format")
        shape, by_columns, found = np.lib.format.read_array_header_1_0(stream)
        content = stream.read()
    if found != kind or by_columns:
        raise ValueError(f"its {name} are {found}, not {kind}")
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize != len(content):
        raise ValueError(f"its {name} say they are {shape}, which they are not")
    return np.frombuffer(content, kind).reshape(shape)


def _parse(arrays: Arrays) -> Kept:
    head = json.loads(arrays["head"].tobytes())
    if not isinstance(head, dict) or head["version"] != VERSION:
        raise ValueError("it is of another version of the format")
    width, height = _whole(head["width"], LARGEST_SIDE), _whole(head["height"], LARGEST_SIDE)
    containers = _containers(head["containers"], arrays["corners"])
    found, pots = _detections(arrays), _pots(arrays)
    sure, owner = arrays["sure"], arrays["owner"].astype(np.intp)
    pots_owner = arrays["pots_owner"].astype(np.intp)
    if (sure.shape, owner.shape, pots_owner.shape) != ((len(found),), (len(found),), (len(pots),)):
        raise ValueError("it says not for each box whether it is sure and where it stands")
    for some in (owner, pots_owner):
        if ((some < LOOSE) | (some >= len(containers))).any():
            raise ValueError("a box stands in a container that is not there")
    density = arrays["density"].astype(np.float32) if head["has_density"] else None
    if density is not None and (density.ndim != 2 or not np.isfinite(density).all()):
        raise ValueError("its density is none")
    evidence = Evidence(
        width,
        height,
        containers,
        found,
        sure,
        owner,
        _above_zero(head["zoom"]),
        _picture(arrays["jpeg"], working_size(width, height)),
        density,
        _above_zero(head["density_cell"]) if density is not None else 0.0,
        pots=pots,
        pots_owner=pots_owner,
        zooms=_zooms(arrays["zooms"], len(found)) if head["has_zooms"] else None,
    )
    quality = Quality(**{field.name: _number(head["quality"][field.name]) for field in fields(Quality)})
    phash = head["phash"]
    if phash is not None and (not isinstance(phash, int) or not -(1 << 63) <= phash < 1 << 63):
        raise ValueError(f"its phash is {phash!r}")
    return Kept(evidence, quality, str(head["network"]), phash)


def _detections(arrays: Arrays) -> Detections:
    boxes, scores = arrays["boxes"], arrays["scores"]
    many = len(boxes)
    if boxes.shape != (many, 4) or any(
        arrays[name].shape != (many,) for name in ("scores", "classes", "cut")
    ):
        raise ValueError("its boxes, scores and classes do not belong together")
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= boxes[:, :2]).any():
        raise ValueError("some of its boxes are none")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("some of its scores are not between 0 and 1")
    return Detections(boxes, scores, arrays["classes"], arrays["cut"])


def _zooms(zooms: NDArray[np.float32], boxes: int) -> NDArray[np.float32]:
    if zooms.shape != (boxes,) or not (np.isfinite(zooms) & (zooms > 0)).all():
        raise ValueError("it says not for each box how closely it was looked at")
    return zooms


def _pots(arrays: Arrays) -> Detections:
    many = len(arrays["pots"])
    pots = {"boxes": arrays["pots"], "scores": arrays["pot_scores"]}
    kind = np.full(many, Thing.EMPTY_POT, np.int16)
    return _detections(arrays | pots | {"classes": kind, "cut": np.zeros(many, np.bool_)})


def _containers(heads: Any, corners: Polygon) -> tuple[Container, ...]:
    lengths = [_whole(head["corners"], len(corners)) for head in heads]
    if corners.ndim != 2 or corners.shape[1] != 2 or sum(lengths) != len(corners):
        raise ValueError("its outlines are not those of its containers")
    if not np.isfinite(corners).all() or (np.abs(corners) > 2 * LARGEST_SIDE).any():
        raise ValueError("an outline leads nowhere")
    starts = np.cumsum([0, *lengths])
    return tuple(
        Container(
            ContainerKind(head["kind"]),
            corners[start : start + length],
            _number(head["score"]),
            Role(head["role"]),
        )
        for head, start, length in zip(heads, starts, lengths, strict=False)
    )


def _picture(content: NDArray[np.uint8], size: tuple[int, int]) -> bytes:
    """The bytes of a JPEG of `size` (rows, columns), whole to its last line."""
    jpeg = content.tobytes()
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        if image.size != size[::-1]:
            raise ValueError(f"its picture has {image.size} pixels, not {size[::-1]}")
        image.load()
    return jpeg


def _whole(value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{value!r} is no number from 1 to {most}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _above_zero(value: Any) -> float:
    if _number(value) <= 0:
        raise ValueError(f"{value!r} is not above 0")
    return float(value)
