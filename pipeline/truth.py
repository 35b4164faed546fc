"""Labelled photos in COCO form: read, checked, and brought into our own types.

Conventions, beyond COCO's own; all of these extras may be missing:

    bbox                pixels of the upright photo
    bbox_foliage        the plant without its pot, used instead of `bbox`
    bbox_amodal         the plant as if nothing stood in front; else its `bbox`
    visibility, ignore  below `VISIBLE`, or 1: no detector need find the plant, and finding it is no error
    in_frame            false: too little of the plant lies in the photo for it to count
    attributes          container_id, zone ("main" for the photographed bed), distance_m, dead
                        (a dead plant in its pot is a plant; a pot without one has a category of its own)
    hidden_plants       of an image: plants in the frame without one visible pixel
    totals              of an image: plants_in_frame, plants_main_in_frame, dead_in_frame, empty_in_frame,
                        the counts that a perfect counter gives; else they are counted from the rest
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PhotoError, TruthError
from pipeline.exif import read_info
from pipeline.find import printable
from pipeline.masks import KIND_OF_NAME
from pipeline.regions import assign, map_regions
from pipeline.things import THING_OF_NAME
from pipeline.types import Boxes, Container, ContainerKind, Polygon, Thing

VISIBLE = 0.25
PLANT_NAMES = sorted(name for name, thing in THING_OF_NAME.items() if thing is Thing.PLANT)
# Half a pixel of rounding is common, a box beyond the photo is another photo's.
SLACK = 1.0

Item = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class TruePlants:
    """Every plant of a photo, hidden ones included (n); the first of them are those that have a box."""

    whole: Boxes  # (n, 4): as if nothing stood in front
    counted: NDArray[np.bool_]  # in the frame
    kind: NDArray[np.str_]  # ContainerKind of what it stands in
    distance: NDArray[np.float64]  # metres from the camera; nan where the file does not say

    def __len__(self) -> int:
        return len(self.whole)


@dataclass(frozen=True, slots=True, eq=False)
class TruePots:
    """The empty pots of a photo that have a visible pixel (k): they are no plants, dead or alive."""

    boxes: Boxes
    visible: NDArray[np.bool_]  # True where a perfect detector finds the pot


@dataclass(frozen=True, slots=True, eq=False)
class TruthPhoto:
    """What a labelled photo shows. Counts that the file does not know are None."""

    file: Path
    width: int
    height: int
    split: str | None
    total: int  # plants in the frame, hidden ones included
    boxes: Boxes  # every plant with a visible pixel
    visible: NDArray[np.bool_]  # True where a perfect detector finds the plant
    plants: TruePlants
    containers: tuple[Container, ...]
    main: int | None = None  # of the photographed bed alone
    dead: int | None = None
    empty_pots: int | None = None
    is_dead: NDArray[np.bool_] | None = None  # per box; None where the file does not know
    pots: TruePots | None = None


@dataclass(slots=True)
class _Shelf:
    """What the file says of one photo, by what it is about."""

    plants: list[Item] = field(default_factory=list)
    empty_pots: list[Item] = field(default_factory=list)
    containers: list[tuple[ContainerKind, Item]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Names:
    """What the categories of a file mean, by their id."""

    plants: frozenset[int]
    dead: frozenset[int]
    empty_pots: frozenset[int]
    containers: dict[int, ContainerKind]
    all: frozenset[int]


def load_truth(coco_json: Path, images: Path, split: str | None = None) -> list[TruthPhoto]:
    """The labelled photos, in the file's order. Raises TruthError that names the first thing wrong."""
    shown = printable(coco_json)
    try:
        data = json.loads(coco_json.read_text(encoding="utf-8"), parse_constant=_refuse)
        names = _names(data["categories"])
        if not names.plants:
            raise TruthError(f"{shown} has no category named {', '.join(PLANT_NAMES)}")
        shelves = _sorted_out(shown, data, names)
        if not images.is_dir():
            raise TruthError(f"the folder of photos {printable(images)} does not exist; check --images")
        wanted = [item for item in data["images"] if split is None or item.get("split") == split]
        photos = [_photo(item, shelves[int(item["id"])], names, images) for item in wanted]
    except OSError as error:
        raise TruthError(f"{shown} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise TruthError(f"{shown} is not JSON: {error}") from error
    except KeyError as error:
        raise TruthError(f"{shown} is not a COCO file: {error} is missing") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise TruthError(f"{shown} is not a COCO file: {error}") from error
    if not photos:
        raise TruthError(f"{shown} has no photo{f' of split {split!r}' if split else ''}")
    return photos


def require_sizes(photos: list[TruthPhoto]) -> None:
    """Raises TruthError for the first photo whose upright size is not that of its labels, before hours are
    spent on the others. A photo that cannot be read is left to who decodes it."""
    for photo in photos:
        try:
            info = read_info(photo.file)
        except PhotoError:
            continue
        if (info.width, info.height) != (photo.width, photo.height):
            raise TruthError(
                f"{printable(photo.file)} is {info.width}×{info.height} pixels upright, its labels are for "
                f"{photo.width}×{photo.height}; label the upright photo, or give the right folder"
            )


def _refuse(constant: str) -> float:
    raise ValueError(f"it holds {constant}, which is no number")


def _names(categories: list[Item]) -> _Names:
    by_id = {int(c["id"]): str(c["name"]).lower() for c in categories}
    plants, pots, dead = (
        frozenset(number for number, name in by_id.items() if THING_OF_NAME.get(name) is thing)
        for thing in Thing
    )
    return _Names(
        plants=plants | dead,
        dead=dead,
        empty_pots=pots,
        containers={number: KIND_OF_NAME[name] for number, name in by_id.items() if name in KIND_OF_NAME},
        all=frozenset(by_id),
    )


def _sorted_out(shown: str, data: Item, names: _Names) -> dict[int, _Shelf]:
    """Every annotation at the photo that it speaks of. Raises TruthError."""
    _require_once(shown, "image id", [int(item["id"]) for item in data["images"]])
    _require_once(shown, "file name", [str(item["file_name"]) for item in data["images"]])
    _require_once(shown, "annotation id", [int(a["id"]) for a in data["annotations"] if "id" in a])
    shelves = {int(item["id"]): _Shelf() for item in data["images"]}
    for annotation in data["annotations"]:
        shelf, category = shelves.get(int(annotation["image_id"])), int(annotation["category_id"])
        if shelf is None:
            raise TruthError(
                f"{shown}: {_called(annotation)} is of image {annotation['image_id']}, which is not listed"
            )
        if category not in names.all:
            raise TruthError(f"{shown}: {_called(annotation)} is of category {category}, which is not listed")
        if category in names.plants:
            shelf.plants.append(annotation)
        elif category in names.empty_pots:
            shelf.empty_pots.append(annotation)
        elif category in names.containers:
            shelf.containers.append((names.containers[category], annotation))
    return shelves


def _require_once(shown: str, what: str, values: list[Any]) -> None:
    twice = [value for value, times in Counter(values).items() if times > 1]
    if twice:
        raise TruthError(f"{shown} uses {what} {twice[0]} twice")


def _called(annotation: Item) -> str:
    return f"annotation {annotation['id']}" if "id" in annotation else "an annotation"


def _photo(item: Item, shelf: _Shelf, names: _Names, images: Path) -> TruthPhoto:
    file, width, height = images / str(item["file_name"]), int(item["width"]), int(item["height"])
    if not file.is_file():
        raise TruthError(f"the labelled photo {printable(file)} is missing; check --images")
    if width <= 0 or height <= 0:
        raise TruthError(f"{printable(file)} is labelled as {width}×{height} pixels, which is no size")
    hidden = [h for h in item.get("hidden_plants") or [] if int(h.get("category_id", 0)) in names.plants]
    containers = tuple(
        Container(kind, _polygon(annotation, item), 1.0) for kind, annotation in shelf.containers
    )
    plants = _plants(item, shelf, hidden, containers)
    totals, known = item.get("totals") or {}, [_of(a, "zone") is not None for a in shelf.plants]
    counted = [a for a, inside in zip(shelf.plants + hidden, plants.counted, strict=True) if inside]
    dead = [_is_dead(a, names) for a in counted]
    knows_dead = bool(names.dead) or not shelf.plants or any(_of(a, "dead") is not None for a in shelf.plants)
    pots = sum(bool(a.get("in_frame", True)) for a in shelf.empty_pots)
    main = sum(_of(a, "zone") == "main" for a in counted) if known and all(known) else None
    return TruthPhoto(
        file=file,
        width=width,
        height=height,
        split=item.get("split"),
        total=int(totals.get("plants_in_frame", len(counted))),
        boxes=np.array([_corners(_foliage(a), item) for a in shelf.plants], np.float32).reshape(-1, 4),
        visible=np.array([_is_visible(a) for a in shelf.plants], np.bool_),
        plants=plants,
        containers=containers,
        main=_optional(totals.get("plants_main_in_frame", main)),
        dead=_optional(totals.get("dead_in_frame", sum(dead) if knows_dead else None)),
        empty_pots=_optional(totals.get("empty_in_frame", pots if names.empty_pots else None)),
        is_dead=np.array([_is_dead(a, names) for a in shelf.plants], np.bool_) if knows_dead else None,
        pots=TruePots(
            np.array([_corners(a["bbox"], item) for a in shelf.empty_pots], np.float32).reshape(-1, 4),
            np.array([_is_visible(a) for a in shelf.empty_pots], np.bool_),
        )
        if names.empty_pots
        else None,
    )


def _plants(item: Item, shelf: _Shelf, hidden: list[Item], containers: tuple[Container, ...]) -> TruePlants:
    every = shelf.plants + hidden
    whole = np.array([_whole(a, item) for a in every], np.float32).reshape(-1, 4)
    kind_of_id = {
        _of(annotation, "container_id"): kind
        for kind, annotation in shelf.containers
        if _of(annotation, "container_id") is not None
    }
    # A file without ids still shows what stands where.
    regions = map_regions(list(containers), int(item["width"]), int(item["height"]))
    standing = [containers[i].kind if i >= 0 else ContainerKind.LOOSE for i in assign(whole, regions)]
    kinds = [
        str(kind_of_id.get(_of(a, "container_id"), ContainerKind.LOOSE if kind_of_id else place))
        for a, place in zip(every, standing, strict=True)
    ]
    distances = [float(_of(a, "distance_m") or math.nan) for a in every]
    return TruePlants(
        whole=whole,
        counted=np.array([bool(a.get("in_frame", True)) for a in every], np.bool_),
        kind=np.array(kinds, np.str_),
        distance=np.array(distances, np.float64),
    )


def _of(annotation: Item, name: str) -> Any:
    return (annotation.get("attributes") or {}).get(name)


def _optional(count: Any) -> int | None:
    return None if count is None else int(count)


def _foliage(annotation: Item) -> Any:
    return annotation.get("bbox_foliage") or annotation["bbox"]


def _whole(annotation: Item, item: Item) -> list[float]:
    """May reach beyond the frame, as the plant does."""
    whole = annotation.get("bbox_amodal")
    if whole is None:
        return _corners(_foliage(annotation), item)
    x, y, w, h = _numbers(whole, 4, item)
    return [x, y, x + max(0.0, w), y + max(0.0, h)]


def _corners(sides: Any, item: Item) -> list[float]:
    x, y, w, h = _numbers(sides, 4, item)
    width, height = item["width"], item["height"]
    if w < 0 or h < 0 or min(x, y) < -SLACK or x + w > width + SLACK or y + h > height + SLACK:
        raise TruthError(
            f"a box of {item['file_name']} lies outside the photo: {[x, y, w, h]} (x, y, width, height) in "
            f"{width}×{height} pixels"
        )
    return [x, y, x + w, y + h]


def _numbers(values: Any, many: int, item: Item) -> list[float]:
    numbers = [float(value) for value in values] if isinstance(values, list) else []
    if len(numbers) != many or not all(map(math.isfinite, numbers)):
        raise TruthError(f"a box of {item['file_name']} is {values!r}, not {many} numbers")
    return numbers


def _polygon(annotation: Item, item: Item) -> Polygon:
    """The largest outline of a container; its box, where it has none."""
    outlines = annotation.get("segmentation")
    outlines = outlines if isinstance(outlines, list) else []
    corners = [_numbers(flat, len(flat), item) for flat in outlines if len(flat) >= 6 and len(flat) % 2 == 0]
    if corners:
        polygons = [np.array(flat, np.float32).reshape(-1, 2) for flat in corners]
        return max(polygons, key=lambda polygon: abs(cv2.contourArea(polygon)))
    x1, y1, x2, y2 = _corners(annotation["bbox"], item)
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)


def _is_dead(annotation: Item, names: _Names) -> bool:
    return bool(_of(annotation, "dead")) or int(annotation["category_id"]) in names.dead


def _is_visible(annotation: Item) -> bool:
    return not annotation.get("ignore") and float(annotation.get("visibility", 1.0)) >= VISIBLE
