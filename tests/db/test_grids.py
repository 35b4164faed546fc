"""What a crate or tray of a place holds, by the types of its bins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from db.engine import connect
from db.grids import cells_at
from db.places import Place, PlaceIndex
from pipeline.types import ContainerKind

BOX, PLUG, SEEDLING = ContainerKind.BOX, ContainerKind.PLUG_TRAY, ContainerKind.SEEDLING_TRAY
DEFAULTS = {PLUG: 288, SEEDLING: 50}  # The standard crate has no known capacity.


@pytest.fixture
def demo(demo_url: str) -> Iterator[Connection]:
    """A connection to the demo nursery."""
    with connect(demo_url) as connection:
        yield connection


@pytest.fixture
def here(demo: Connection) -> Place:
    found = PlaceIndex.load(demo).named("N01-NORTE-C01")
    demo.rollback()
    return found


def add_bin(connection: Connection, place: Place, code: str, bin_type: str, status: str = "active") -> None:
    with connection.begin():
        connection.execute(
            text(
                "INSERT INTO storage_bins"
                " (storage_location_id, storage_bin_type_id, category, product_id, code, status)"
                " SELECT :place, t.id, t.category, p.id, :code, :status FROM storage_bin_types t,"
                " (SELECT id FROM products ORDER BY id OFFSET :skip LIMIT 1) p WHERE t.code = :type"
            ),
            {
                "place": place.id, "code": f"{place.code}-{code}", "status": status,
                "skip": int(code[-1]), "type": bin_type,
            },
        )  # fmt: skip


def test_without_a_place_nothing_is_known(demo: Connection) -> None:
    assert cells_at(demo, None) == {}


def test_a_place_without_bins_has_those_of_the_default_types(demo: Connection, here: Place) -> None:
    assert cells_at(demo, here.id) == DEFAULTS
    assert not demo.in_transaction()


def test_the_bins_of_the_place_outrank_the_defaults(demo: Connection, here: Place) -> None:
    add_bin(demo, here, "B0", "BOX_28")
    add_bin(demo, here, "B1", "PLUG_TRAY_128")
    assert cells_at(demo, here.id) == {BOX: 28, PLUG: 128, SEEDLING: 50}
    elsewhere = PlaceIndex.load(demo).named("N01-NORTE-C02")
    demo.rollback()
    assert cells_at(demo, elsewhere.id) == DEFAULTS


def test_bins_of_several_types_leave_it_open_and_retired_ones_do_not_count(
    demo: Connection, here: Place
) -> None:
    add_bin(demo, here, "B0", "BOX_28")
    add_bin(demo, here, "B1", "BOX_45", status="retired")
    assert cells_at(demo, here.id)[BOX] == 28
    add_bin(demo, here, "B2", "BOX_24")
    assert BOX not in cells_at(demo, here.id)
