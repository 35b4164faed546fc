"""What one photo says of its plants, seen and unseen: all that any estimator needs.

It is gathered once, while the pixels are at hand, and can be kept (pipeline/kept.py): `demeter estimate`
starts from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import sizes
from pipeline.look import View
from pipeline.regions import LOOSE, RegionMap, assign, map_regions, working_size
from pipeline.types import Boxes, Container, ContainerKind, Detections, Pixels, Polygon, Spacing
from pipeline.vegetation import INNER_SHARE, ellipses, plant_likeness

# Of the reduced photo: 300 to 500 kB. Fine noise goes, and in drawn beds on noise up to a fifth of the area
# that looks like plants with it; 95 keeps more of it at twice the bytes.
QUALITY = 75


@dataclass(frozen=True, eq=False)
class Evidence:
    """One photo after the networks. Boxes and polygons are in photo pixels.

    The photo itself is there at the working scale of `regions`, as the JPEG that is kept, so that what is
    estimated from it today and what is estimated from the file next year are the same. What is derived from
    the fields is made when first asked for.
    """

    width: int
    height: int
    containers: tuple[Container, ...]
    found: Detections  # plants, sure and doubtful, each once
    sure: NDArray[np.bool_]  # (n,): counts as seen
    owner: NDArray[np.intp]  # (n,): index of the container it stands in, or LOOSE
    zoom: float  # pixels that the detector saw per photo pixel at its first look
    jpeg: bytes
    density: NDArray[np.float32] | None = None  # (rows, columns): expected plants per cell
    density_cell: float = 0.0  # photo pixels per side of such a cell
    spacings: tuple[Spacing, ...] = ()  # what the books know of the place, at most one per kind
    pots: Detections = field(default_factory=Detections.empty)  # empty ones; they count as nothing
    pots_owner: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    zooms: NDArray[np.float32] | None = None  # (n,): the zoom of each box, where they are not all the same
    painted: RegionMap | None = None  # the map of `containers`, where it is made already

    @cached_property
    def picture(self) -> Pixels:
        """(h, w, 3): the photo at working scale."""
        pixels: Pixels = np.asarray(cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR))
        return pixels.astype(np.uint8, copy=False)

    @cached_property
    def likeness(self) -> NDArray[np.uint8]:
        """(h, w) at working scale: 0–255, how much a pixel looks like this photo's plants."""
        return _likeness(self.picture, self.found.boxes[self.sure] * np.float32(self.scale))

    @cached_property
    def regions(self) -> RegionMap:
        return self.painted or map_regions(list(self.containers), self.width, self.height)

    @cached_property
    def free(self) -> NDArray[np.uint8]:
        """(h, w) at working scale: 1 where no sure box covers the photo. Plants are round: their ellipses
        cover, not the corners of their boxes."""
        return 1 - ellipses(self.found.boxes[self.sure] * np.float32(self.scale), self.regions.labels.shape)

    @property
    def scale(self) -> float:
        """Working pixels per photo pixel."""
        return self.regions.scale

    @property
    def apparent_sizes(self) -> NDArray[np.float32]:
        """(n,): side in pixels of each box, as the network saw it."""
        return sizes(self.found.boxes) * (np.float32(self.zoom) if self.zooms is None else self.zooms)

    @property
    def contained(self) -> NDArray[np.bool_]:
        """(n,): which boxes stand in a container and not loose, in the bed or in the background."""
        real = [container.kind is not ContainerKind.LOOSE for container in self.containers]
        inside: NDArray[np.bool_] = np.array([*real, False])[self.owner]  # LOOSE is -1, the last
        return inside

    @cached_property
    def cell_owner(self) -> NDArray[np.intp]:
        """(rows, columns): the container that each cell of `density` lies in, as `owner` says for plants."""
        if self.density is None:
            return np.empty((0, 0), np.intp)
        rows, columns = self.density.shape
        y, x = ((np.arange(n, dtype=np.float32) + 0.5) * self.density_cell for n in (rows, columns))
        middles = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        seen = sizes(self.found.boxes[self.sure])
        half = (float(np.median(seen)) if len(seen) else self.density_cell) / 2
        owner = assign(np.concatenate([middles - half, middles + half], axis=1), self.regions)
        owner = owner.reshape(rows, columns)
        for index, container in enumerate(self.containers):
            if container.kind is ContainerKind.LOOSE:  # it has no area in `regions`
                inside = np.zeros((rows, columns), np.uint8)
                hull = np.round(container.polygon / self.density_cell - 0.5).astype(np.int32)
                cv2.fillPoly(inside, [hull], 1)
                owner[(owner == LOOSE) & (inside > 0)] = index
        return owner

    def polygon(self, index: int) -> Polygon:
        """The outline of a container; of the whole photo for `LOOSE`."""
        if index != LOOSE:
            return self.containers[index].polygon
        right, bottom = self.width, self.height
        return np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float32)

    def of(self, index: int) -> NDArray[np.bool_]:
        """(n,): which boxes, sure or not, stand in container `index`."""
        own: NDArray[np.bool_] = self.owner == index
        return own


def gather(
    pixels: Pixels,
    view: View,
    containers: list[Container],
    sure: NDArray[np.bool_],
    owner: NDArray[np.intp],
) -> Evidence:
    """The evidence of the photo `pixels`, in which `view` was seen."""
    height, width = pixels.shape[:2]
    density = view.density
    if density is not None:  # As it is kept: half the bytes, and off by less than a thousandth.
        density = density.astype(np.float16).astype(np.float32)
    return Evidence(
        width,
        height,
        tuple(containers),
        view.found,
        sure,
        owner,
        view.zoom,
        _reduced(pixels),
        density,
        view.density_cell,
        pots=view.pots,
        pots_owner=np.full(len(view.pots), LOOSE, np.intp),
        zooms=view.zooms,
    )


def _reduced(pixels: Pixels) -> bytes:
    """The photo at working scale, as JPEG."""
    height, width = working_size(pixels.shape[1], pixels.shape[0])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    content: bytes = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return content


def _likeness(small: Pixels, boxes: Boxes) -> NDArray[np.uint8]:
    """(h, w): colours of the middles of plants against those of what lies outside every box: floor, paths
    and gaps. Missed plants among the latter only blunt the evidence."""
    shape = small.shape[:2]
    likeness = plant_likeness(small, ellipses(boxes, shape, INNER_SHARE), 1 - ellipses(boxes, shape))
    return np.round(likeness * 255).astype(np.uint8)
