"""Train, export and measure the two networks: `python -m tools.train --help`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import cv2
import torch

from tools.train import stages
from tools.train.report import calibrate_counts, write_cards

STAGES = {
    "cache": [stages.fill_cache],
    "plants": [stages.train_plants],
    "containers": [stages.train_containers],
    "export": [stages.export_plants, stages.export_containers],
    "cards": [write_cards],
    "calibrate": [calibrate_counts],
}


def main() -> None:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)  # pictures are made beside the training, not instead of it
    options = stages.Options(
        data=arguments.data,
        out=arguments.out,
        models=arguments.models or arguments.out / "models",
        start=arguments.start,
        plant_minutes=arguments.plant_minutes,
        container_minutes=arguments.container_minutes,
        baseline=arguments.baseline,
        test=arguments.test,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = STAGES if arguments.stage == "all" else [arguments.stage]
    for name in chosen:
        for stage in STAGES[name]:
            stage(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.train", description=__doc__)
    parser.add_argument("stage", choices=["all", *STAGES], help="all of them, in this order, or one")
    parser.add_argument("--data", type=Path, required=True, help="folder with coco.json and images/")
    parser.add_argument("--out", type=Path, required=True, help="cache and checkpoints; a killed run resumes")
    parser.add_argument("--models", type=Path, help="where the models go (default: OUT/models)")
    parser.add_argument("--start", type=Path, help="weights to start from: tensors or ultralytics .pt")
    parser.add_argument("--plant-minutes", type=float, default=70)
    parser.add_argument("--container-minutes", type=float, default=28)
    parser.add_argument("--baseline", type=Path, help="another plant.xml to compare with in the card")
    parser.add_argument("--test", action="store_true", help="measure the test photos too: once, at the end")
    parser.add_argument("--threads", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
