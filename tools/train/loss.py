"""The loss of the plant detector, made for hundreds of small boxes per tile.

The same task-aligned assignment as in ultralytics, but over the pairs of box and anchor that can
match at all instead of all pairs of a padded batch, and deaf to what is hardly visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from ultralytics.utils.loss import BboxLoss
from ultralytics.utils.metrics import bbox_iou
from ultralytics.utils.tal import dist2bbox, make_anchors

TOP = 10  # anchors that may learn one plant
SMALLEST = 16.0  # px: smaller boxes look for anchors in a window of this side
BOX_GAIN, SCORE_GAIN, EDGE_GAIN = 7.5, 0.5, 1.5


@dataclass(frozen=True)
class Assignment:
    """Which anchors learn which plant: three parallel tensors of length p."""

    anchors: Tensor  # (p,) int
    truth: Tensor  # (p,) int
    scores: Tensor  # (p,) the score to learn, 0-1


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, centres: Tensor, truth: Tensor) -> Assignment:
    """Match predictions of one tile (`scores` (a,), `boxes` (a, 4) px) to `truth` (n, 4) px."""
    grow = (SMALLEST - (truth[:, 2:] - truth[:, :2])).clamp(min=0) / 2
    inside = (centres > (truth[:, :2] - grow)[:, None]).all(2) & (
        centres < (truth[:, 2:] + grow)[:, None]
    ).all(2)
    plant, anchor = inside.nonzero(as_tuple=True)
    iou = bbox_iou(truth[plant], boxes[anchor], xywh=False, CIoU=True).squeeze(-1).clamp(min=0)
    metric = scores[anchor].sqrt() * iou.pow(6)

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


class PlantLoss:
    """Call it with the raw outputs of the head and the boxes of each tile."""

    def __init__(self, head: nn.Module) -> None:
        self.strides: Tensor = head.stride
        self.bins: int = head.reg_max
        self.box_loss = BboxLoss(self.bins)
        self.bin_values = torch.arange(self.bins, dtype=torch.float32)

    def __call__(
        self, outputs: dict[str, Tensor], truth: list[Tensor], ignored: list[Tensor]
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss, and its parts by name. `truth` and `ignored`: per tile (n, 4) xyxy in px."""
        logits = outputs["scores"][:, 0]  # (tiles, anchors)
        distances = outputs["boxes"].permute(0, 2, 1).contiguous()  # (tiles, anchors, 4 * bins)
        points, stride = make_anchors(outputs["feats"], self.strides, 0.5)  # cells, px per cell
        expected = distances.view(*logits.shape, 4, self.bins).softmax(3).matmul(self.bin_values)
        boxes = dist2bbox(expected, points, xywh=False)  # in cells

        wanted = torch.zeros_like(logits)
        target = torch.zeros_like(boxes)
        judged = torch.ones_like(logits)
        centres = points * stride
        for tile, (plants, blind) in enumerate(zip(truth, ignored, strict=True)):
            if len(blind):
                judged[tile][_inside_any(centres, blind)] = 0
            if len(plants):
                found = assign(
                    logits[tile].detach().sigmoid(), boxes[tile].detach() * stride, centres, plants
                )
                wanted[tile, found.anchors] = found.scores
                target[tile, found.anchors] = plants[found.truth] / stride[found.anchors]
                judged[tile, found.anchors] = 1

        total = wanted.sum().clamp(min=1)
        entropy = functional.binary_cross_entropy_with_logits(logits, wanted, judged, reduction="sum") / total
        overlap, edges = self.box_loss(
            distances, boxes, points, target, wanted[..., None], total, wanted > 0, None, stride
        )
        parts = {"box": overlap.item(), "score": entropy.item(), "edge": edges.item()}
        return BOX_GAIN * overlap + SCORE_GAIN * entropy + EDGE_GAIN * edges, parts


def _inside_any(points: Tensor, boxes: Tensor) -> Tensor:
    """(a,) which `points` (a, 2) lie inside any of `boxes` (n, 4)."""
    return ((points[:, None] > boxes[:, :2]) & (points[:, None] < boxes[:, 2:])).all(2).any(1)
