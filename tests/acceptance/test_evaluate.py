"""demeter model evaluate: labelled photos in, figures out."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.evaluate import default_methods
from tests.acceptance.conftest import Site
from tests.acceptance.test_process import put

METHOD_KEYS = [
    *("method", "model", "photos", "truth", "counted", "precision", "recall", "ap50", "ap"),
    *("mae", "mape", "bias", "r2", "coverage", "width", "ece", "seconds"),
    *("main", "dead", "empty_pots", "scores", "groups"),
]


def label(site: Site, boxes: list[list[float]], width: int = 600) -> Path:
    """A COCO file that says that IMG_1.jpg shows these plants."""
    content = {
        "categories": [{"id": 1, "name": "plant"}],
        "images": [{"id": 1, "file_name": "IMG_1.jpg", "width": width, "height": 500}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": box} for box in boxes],
    }
    path = site.folder / "coco.json"
    path.write_text(json.dumps(content))
    return path


def test_every_method_is_measured_on_the_same_photos(tmp_path: Path, crops: list[Path]) -> None:
    site = Site(tmp_path)
    put(site, crops[2], "IMG_1.jpg")
    (photo,) = site.run("count", "IMG_1.jpg", "-f", "json", "--boxes").json
    found = photo["detections"]
    # As if the count were the truth: then it must be found right, box by box.
    truth = [[b["x1"], b["y1"], b["x2"] - b["x1"], b["y2"] - b["y1"]] for b in found]
    finished = site.run("model", "evaluate", label(site, truth), "--images", ".", "-f", "json")
    assert finished.code == 0, finished.err

    rows = {row["method"]: row for row in finished.json["methods"]}
    assert list(rows) == default_methods("density-map")
    assert all(list(row) == METHOD_KEYS for row in rows.values())
    assert (rows["no-estimate"]["precision"], rows["no-estimate"]["recall"]) == (1, 1)
    assert rows["no-estimate"]["counted"] == rows["no-estimate"]["truth"] == len(found)
    assert rows["sahi-nms"]["precision"] > 0.8
    assert rows["demeter"]["coverage"] in {0, 1}
    assert rows["sahi-nms"]["coverage"] is None
    assert [row["photo"] for row in finished.json["photos"]] == ["IMG_1.jpg"] * len(rows)


def test_labels_that_do_not_fit_get_a_sentence(tmp_path: Path, crops: list[Path]) -> None:
    site = Site(tmp_path)
    put(site, crops[0], "IMG_1.jpg")
    other_size = site.run("model", "evaluate", label(site, [[1, 1, 9, 9]], width=900), "--images", ".")
    assert other_size.code == 2
    assert "600×500" in other_size.err

    no_photo = site.run("model", "evaluate", label(site, []), "--images", "nowhere")
    assert no_photo.code == 2
    assert "folder of photos nowhere does not exist" in no_photo.err

    no_method = site.run("model", "evaluate", label(site, []), "--images", ".", "--method", "guess")
    assert no_method.code == 2
    assert "sahi-greedynmm" in no_method.err
    for finished in (other_size, no_photo, no_method):
        assert finished.out == ""
        assert "Traceback" not in finished.err
