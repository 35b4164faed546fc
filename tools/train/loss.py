"""The loss of the plant detector, made for hundreds of small boxes per tile.

The same task-aligned assignment as in ultralytics, but over the pairs of box and anchor that can
match at all instead of all pairs of a padded batch, and deaf to what is hardly visible. Beside it the loss of
the density, whose sums over squares of several sizes are to be right on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from ultralytics.utils.loss import BboxLoss
from ultralytics.utils.metrics import bbox_iou
from ultralytics.utils.tal import dist2bbox, make_anchors

TOP = 10  # anchors that may learn one plant
SMALLEST = 16.0  # px: smaller boxes look for anchors in a window of this side
BOX_GAIN, SCORE_GAIN, EDGE_GAIN, DENSITY_GAIN = 7.5, 0.5, 1.5, 0.2
SQUARES = (2, 8, 24)  # cells per side of the squares over which densities are compared


@dataclass(frozen=True)
class Assignment:
    """Which anchors learn which plant: three parallel tensors of length p."""

    anchors: Tensor  # (p,) int
    truth: Tensor  # (p,) int
    scores: Tensor  # (p,) the score to learn, 0-1


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, centres: Tensor, truth: Tensor) -> Assignment:
    """Match predictions of one tile (`scores` (a, n), of the class of each plant, `boxes` (a, 4) px) to
    `truth` (n, 4) px."""
    grow = (SMALLEST - (truth[:, 2:] - truth[:, :2])).clamp(min=0) / 2
    inside = (centres > (truth[:, :2] - grow)[:, None]).all(2) & (
        centres < (truth[:, 2:] + grow)[:, None]
    ).all(2)
    plant, anchor = inside.nonzero(as_tuple=True)
    iou = bbox_iou(truth[plant], boxes[anchor], xywh=False, CIoU=True).squeeze(-1).clamp(min=0)
    metric = scores[anchor, plant].sqrt() * iou.pow(6)

    kept = _best_per_group(plant, metric, TOP)
    kept = kept[_best_per_group(anchor[kept], iou[kept], 1)]
    plant, anchor, iou, metric = plant[kept], anchor[kept], iou[kept], metric[kept]

    best_metric = _largest_per_group(plant, metric, len(truth))
    best_iou = _largest_per_group(plant, iou, len(truth))
    return Assignment(anchor, plant, metric * best_iou / (best_metric + 1e-9))


def _best_per_group(group: Tensor, value: Tensor, count: int) -> Tensor:
    """Indices of the `count` largest `value` in each `group`."""
    order = value.argsort(descending=True)
    order = order[group[order].argsort(stable=True)]
    ordered = group[order]
    place = torch.arange(len(ordered))
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    rank = place - torch.where(starts, place, 0).cummax(0).values
    return order[rank < count]


def _largest_per_group(group: Tensor, value: Tensor, groups: int) -> Tensor:
    """For every element the largest `value` in its `group`."""
    return value.new_zeros(groups).scatter_reduce_(0, group, value, "amax")[group]


@dataclass(frozen=True)
class TileTruth:
    """What is to be learnt of one tile; boxes are xyxy in its pixels."""

    boxes: Tensor  # (n, 4)
    kinds: Tensor  # (n,) int: index into PLANT_CLASSES
    ignored: Tensor  # (m, 4): what stands here is not judged
    density: Tensor  # (rows, columns): plants per cell


class PlantLoss:
    """Call it with the raw outputs of the network and the truth of each tile."""

    def __init__(self, head: nn.Module) -> None:
        self.strides: Tensor = head.stride
        self.bins: int = head.reg_max
        self.box_loss = BboxLoss(self.bins)
        self.bin_values = torch.arange(self.bins, dtype=torch.float32)

    def __call__(
        self, outputs: dict[str, Tensor], tiles: Sequence[TileTruth]
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss, and its parts by name."""
        logits = outputs["scores"].permute(0, 2, 1)  # (tiles, anchors, classes)
        distances = outputs["boxes"].permute(0, 2, 1).contiguous()  # (tiles, anchors, 4 * bins)
        points, stride = make_anchors(outputs["feats"], self.strides, 0.5)  # cells, px per cell
        expected = distances.view(*logits.shape[:2], 4, self.bins).softmax(3).matmul(self.bin_values)
        boxes = dist2bbox(expected, points, xywh=False)  # in cells

        wanted = torch.zeros_like(logits)
        target = torch.zeros_like(boxes)
        judged = torch.ones_like(logits)
        centres = points * stride
        for number, tile in enumerate(tiles):
            if len(tile.ignored):
                judged[number][_inside_any(centres, tile.ignored)] = 0
            if len(tile.boxes):
                scores = logits[number].detach().sigmoid()[:, tile.kinds]
                found = assign(scores, boxes[number].detach() * stride, centres, tile.boxes)
                wanted[number, found.anchors, tile.kinds[found.truth]] = found.scores
                target[number, found.anchors] = tile.boxes[found.truth] / stride[found.anchors]
                judged[number, found.anchors] = 1

        total = wanted.sum().clamp(min=1)
        entropy = functional.binary_cross_entropy_with_logits(logits, wanted, judged, reduction="sum") / total
        matched = wanted.sum(2, keepdim=True)
        overlap, edges = self.box_loss(
            distances, boxes, points, target, matched, total, matched[..., 0] > 0, None, stride
        )
        density = density_loss(outputs["density"][:, 0], torch.stack([tile.density for tile in tiles]))
        parts = {
            "box": overlap.item(),
            "score": entropy.item(),
            "edge": edges.item(),
            "density": density.item(),
        }
        whole = BOX_GAIN * overlap + SCORE_GAIN * entropy + EDGE_GAIN * edges + DENSITY_GAIN * density
        return whole, parts


def density_loss(said: Tensor, truth: Tensor) -> Tensor:
    """Poisson deviance per plant of densities (tiles, rows, columns), summed over squares of several sizes.

    Its least value lies at the mean, so sums are right on average, hidden plants included; small squares say
    where the plants are, large ones that none is forgotten.
    """
    losses = []
    for side in SQUARES:
        got, asked = (functional.avg_pool2d(one[:, None], side) * side**2 for one in (said, truth))
        got = got.clamp(min=1e-4)
        # Without the terms that do not depend on what was said, but for a constant that makes it 0 at best.
        deviance = got - asked * got.log() - (asked - torch.xlogy(asked, asked))
        losses.append(deviance.sum() / truth.sum().clamp(min=1))
    return torch.stack(losses).sum()


def _inside_any(points: Tensor, boxes: Tensor) -> Tensor:
    """(a,) which `points` (a, 2) lie inside any of `boxes` (n, 4)."""
    return ((points[:, None] > boxes[:, :2]) & (points[:, None] < boxes[:, 2:])).all(2).any(1)
