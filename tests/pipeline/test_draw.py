from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.draw import (
    COLOURS,
    GREY,
    LONG_SIDE,
    NAMES,
    Shown,
    draw_overlay,
    overlay_name,
    save_overlay,
    totals,
)
from pipeline.errors import StorageError
from pipeline.types import (
    Container,
    ContainerCount,
    ContainerKind,
    Detections,
    Estimate,
    Photo,
    PhotoInfo,
    PhotoResult,
    PhotoStatus,
    Pixels,
    Role,
    Thing,
    Total,
)
from tests.pipeline.scenes import draw_bed, found


def grey(width: int, height: int) -> Pixels:
    return np.full((height, width, 3), 100, np.uint8)


def result_of(
    counts: tuple[ContainerCount, ...] = (), detections: Detections | None = None, name: str = "bed.jpg"
) -> PhotoResult:
    detections = Detections.empty() if detections is None else detections
    return PhotoResult(
        photo=Photo(Path(name), "abcdef0123456789" * 4, 1),
        info=PhotoInfo(100, 100, "JPEG"),
        status=PhotoStatus.COMPLETED,
        warnings=(),
        counts=counts,
        detections=detections,
        owner=np.zeros(len(detections), np.intp),
        low=0,
        high=1,
        main=Total(
            sum(c.seen for c in counts if c.is_main), sum(c.hidden for c in counts if c.is_main), 0, 1
        ),
        model="m",
        seconds=1.0,
    )


def count_in(
    kind: ContainerKind, polygon: list[list[float]], seen: int = 0, hidden: int = 0
) -> ContainerCount:
    container = Container(kind, np.array(polygon, np.float32).reshape(-1, 2), 0.9)
    return ContainerCount(container, seen, hidden, 0, 1, seen + hidden == 0, 0.9)


SQUARE = [[50.0, 200.0], [350.0, 200.0], [350.0, 390.0], [50.0, 390.0]]


def test_an_overlay_is_as_large_as_the_photo_up_to_a_limit() -> None:
    for width, height, expected in (
        (400, 300, (400, 300)),
        (LONG_SIDE * 2, 3000, (LONG_SIDE, 1500)),
        (900, LONG_SIDE * 3, (300, LONG_SIDE)),
        (65, 9000, (14, LONG_SIDE)),
    ):
        overlay = draw_overlay(grey(width, height), result_of())
        assert (overlay.shape[1], overlay.shape[0]) == expected


def test_the_photo_itself_is_left_alone() -> None:
    photo = grey(400, 400)
    draw_overlay(photo, result_of((count_in(ContainerKind.BOX, SQUARE, 1),), found([[190, 290, 210, 310]])))
    assert (photo == 100).all()


def test_a_plant_has_a_disc_in_the_colour_of_its_container_and_the_rest_of_the_photo_shows() -> None:
    for kind in (ContainerKind.BOX, ContainerKind.SEGMENT, ContainerKind.LOOSE):
        plant = found([[100, 220, 140, 260]])
        overlay = draw_overlay(grey(400, 400), result_of((count_in(kind, SQUARE, 1),), plant))
        disc, beside = overlay[240, 120].astype(int), overlay[240, 160]
        assert beside.tolist() == [100, 100, 100]
        # Drawn over the photo, half see-through: in the direction of the colour, not all the way.
        toward = np.array(COLOURS[kind]) - 100
        assert ((disc - 100) * toward > 0).all()
        assert (np.abs(disc - 100) < np.abs(toward)).all()


def test_a_container_has_an_outline_and_loose_plants_have_none() -> None:
    box = draw_overlay(grey(400, 400), result_of((count_in(ContainerKind.BOX, SQUARE),)))
    loose = draw_overlay(grey(400, 400), result_of((count_in(ContainerKind.LOOSE, SQUARE),)))
    assert (box[300, 45:56] != 100).any()
    assert (loose[300, 45:56] == 100).all()


def test_the_count_stands_on_a_badge_in_the_middle_of_its_container() -> None:
    # Many corners on one side, as outlines have, do not pull it there.
    ragged = [[350.0, y] for y in np.linspace(200, 390, 50)]
    square = [[50.0, 200.0], *ragged, [50.0, 390.0]]
    for seen, hidden in ((7, 0), (0, 0), (120, 35)):
        overlay = draw_overlay(
            grey(400, 400), result_of((count_in(ContainerKind.BOX, square, seen, hidden),))
        )
        y, x = np.nonzero((overlay == COLOURS[ContainerKind.BOX]).all(axis=2))
        inside = (x > 60) & (x < 340) & (y > 210) & (y < 380)
        assert inside.sum() > 100
        assert (x[inside].mean(), y[inside].mean()) == pytest.approx((200, 295), abs=8)


def test_a_dead_plant_is_crossed_out_an_empty_pot_framed_and_both_are_in_the_key() -> None:
    plants = found([[100, 220, 140, 260], [200, 220, 240, 260]])
    dead = replace(plants, classes=np.array([Thing.PLANT, Thing.DEAD_PLANT], np.int16))
    count = count_in(ContainerKind.BOX, SQUARE, 2)
    plain = draw_overlay(grey(400, 400), result_of((count,), plants))
    marked = replace(result_of((replace(count, dead=1),), dead), pots=found([[200, 320, 240, 360]]))
    overlay = draw_overlay(grey(400, 400), marked)
    white = (overlay.astype(int) - plain).sum(axis=2) > 300
    assert white[240, 220]  # the middle of the cross
    assert not white[220:260, 100:140].any()  # nothing on the plant that lives
    frame = white[325:356, 205:236]
    assert frame.any()
    assert not frame[8:-8, 8:-8].any()  # hollow
    assert white[:150, :30].any()  # the key, in the panel


def test_every_kind_has_a_name_and_a_colour_of_its_own() -> None:
    assert set(COLOURS) == set(NAMES) == set(ContainerKind)
    assert len(set(COLOURS.values())) == len(set(NAMES.values())) == len(ContainerKind)


@pytest.mark.parametrize(
    "polygon",
    [
        [[0, 0]],
        [[0, 0], [10, 10]],
        [[-500, -500], [900, -500], [900, 900], [-500, 900]],
        [[399, 399], [399, 399], [399, 399]],
    ],
)
def test_odd_polygons_and_tiny_photos_are_drawn(polygon: list[list[float]]) -> None:
    counts = (
        count_in(ContainerKind.SEGMENT, polygon, 12345, 678),
        count_in(ContainerKind.PLUG_TRAY, polygon),
    )
    plants = found([[-20, -20, 5, 5], [390, 390, 450, 450], [3, 3, 3, 3]])
    for side in (64, 400):
        assert draw_overlay(grey(side, side), result_of(counts, plants)).shape == (side, side, 3)


def test_a_drawn_bed_becomes_a_picture_that_opens(tmp_path: Path) -> None:
    bed = draw_bed()
    counts = (count_in(ContainerKind.SEGMENT, bed.polygon.tolist(), len(bed.boxes), 3),)
    path = save_overlay(bed.photo, result_of(counts, found(bed.boxes)), tmp_path)
    assert path == tmp_path / "bed-abcdef01.jpg"
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape == bed.photo.shape


@pytest.mark.parametrize(
    "name",
    [
        b"two\nlines.jpg",
        b"bell\x07 and escape \x1b[31m.jpg",
        b"caf\xe9.jpg",
        b"\xc3\xa1rbol \xe6\xa4\x8d\xe7\x89\xa9.jpg",
        b"x" * 246 + b".jpg",
        "植".encode() * 80 + b".jpg",
        "\N{SEEDLING}".encode() * 60 + b".jpg",
        b".jpg",
        b"...",
        b"-rf.jpg",
        b"a b'c\"d`e$f.jpg",
    ],
)
def test_any_name_gives_a_file_that_can_be_written_and_named(tmp_path: Path, name: bytes) -> None:
    path = save_overlay(grey(64, 64), result_of(name=os.fsdecode(name)), tmp_path)
    assert path.parent == tmp_path
    assert path.stat().st_size > 0
    assert path.name.isprintable()
    path.name.encode("utf-8")
    assert path.name.endswith("-abcdef01.jpg")


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=300).filter(lambda name: not set(name) & {"/", "\0"}))
def test_no_name_makes_a_name_too_long_or_unprintable(name: str) -> None:
    name = overlay_name(Photo(Path(name), "0" * 64, 1))
    assert name.isprintable()
    assert len(name.encode("utf-8")) <= 255


def test_photos_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    one = result_of()
    other = replace(one, photo=replace(one.photo, path=Path("elsewhere/bed.jpg"), sha256="1" * 64))
    assert save_overlay(grey(64, 64), one, tmp_path) != save_overlay(grey(64, 64), other, tmp_path)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"bed-abcdef01\.jpg cannot be written"):
        save_overlay(grey(64, 64), result_of(), tmp_path / "missing")


def test_a_neighbouring_bed_is_grey_and_thinly_drawn_and_no_part_of_the_total() -> None:
    plants = found([[100, 220, 140, 260]])
    bed = count_in(ContainerKind.BOX, SQUARE, 1)
    neighbour = replace(bed, container=replace(bed.container, role=Role.BACKGROUND))
    pictures = [draw_overlay(grey(400, 400), result_of((count,), plants)) for count in (bed, neighbour)]
    own, other = ((picture == COLOURS[ContainerKind.BOX]).all(axis=2).sum() for picture in pictures)
    assert own > 1000
    assert other == 0
    assert (pictures[1] == GREY).all(axis=2).sum() > 500
    dark = [(picture[202:380, 40:60] < 50).all(axis=2).sum() for picture in pictures]
    assert dark[0] > dark[1] == 0


def test_the_panel_tells_the_beds_total_first_and_the_neighbours_apart() -> None:
    bed = count_in(ContainerKind.SEGMENT, SQUARE, 40, 5)
    other = count_in(ContainerKind.SEGMENT, SQUARE, 30)
    other = replace(other, container=replace(other.container, role=Role.BACKGROUND))

    assert [text for text, _ in totals(result_of((bed, other)))] == [
        "45 plants (0 to 1)",
        "40 seen + 5 hidden",
        "segment: 45",
        "neighbouring beds, not counted: 30",
    ]
    assert len(totals(result_of((bed,)))) == 3


def estimate(top: float, bottom: float, plants: float) -> Estimate:
    return Estimate("m", "1", 1, top, bottom, 0.0, 0.0, 1.0, plants, 10.0, 0.0)


def test_each_kind_draws_its_own_and_keeps_every_pixel_of_the_photo() -> None:
    square = [[300.0, 300.0], [1300.0, 300.0], [1300.0, 1100.0], [300.0, 1100.0]]
    count = replace(
        count_in(ContainerKind.SEGMENT, square, 2, 30),
        estimates=(estimate(300, 700, 5), estimate(700, 1100, 25)),
    )
    boxes = np.array([[500, 500, 560, 560], [900, 900, 960, 960]], np.float32)
    plants = Detections(boxes, np.array([0.5, 1.0], np.float32), np.zeros(2, np.int16), np.zeros(2, np.bool_))
    photo, result = grey(2400, 1400), result_of((count,), plants)
    drawn = {kind: draw_overlay(photo, result, kind, None) for kind in Shown}
    assert {picture.shape for picture in drawn.values()} == {photo.shape}
    assert len({picture.tobytes() for picture in drawn.values()}) == len(Shown)
    free = (slice(1150, None), slice(None))  # below the bed and the panel nothing is drawn
    assert all((picture[free] == photo[free]).all() for picture in drawn.values())

    def differs(kind: Shown, x: int, y: int) -> int:
        return int(np.abs(drawn[kind][y, x].astype(int) - 100).sum())

    # The band with more plants is darker blue; without it, a bed is as it was.
    assert differs(Shown.CONTAINERS, 400, 1000) == differs(Shown.DETECTIONS, 400, 1000) == 0
    assert drawn[Shown.HIDDEN][1000, 400].tolist() != drawn[Shown.HIDDEN][600, 400].tolist()
    # Where a plant stands: its disc, red where doubtful, green where sure, and none where only beds are
    # shown.
    assert differs(Shown.CONTAINERS, 530, 530) == 0
    doubtful, sure = drawn[Shown.CONFIDENCE][530, 530], drawn[Shown.CONFIDENCE][930, 930]
    assert doubtful[2] > doubtful[1]
    assert sure[1] > sure[2]


def test_what_is_estimated_outside_every_container_shades_nothing() -> None:
    frame = [[0.0, 0.0], [1000.0, 0.0], [1000.0, 700.0], [0.0, 700.0]]
    count = replace(count_in(ContainerKind.LOOSE, frame, 0, 3), estimates=(estimate(0, 700, 3),))
    photo = grey(1000, 700)
    hidden, containers = (
        draw_overlay(photo, result_of((count,)), kind) for kind in (Shown.HIDDEN, Shown.CONTAINERS)
    )
    assert (hidden == containers).all()
