"""Settings of the nursery, and photos that show what a product looks like."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import IntegrityError

from db.audit_log import Wanted, entries
from db.errors import NotFound, Refused
from db.models.schema import METADATA
from db.site_settings import KNOWN, all_settings, value_of, write


@pytest.fixture
def connection(books: Connection) -> Connection:
    return books


def test_a_setting_is_its_default_until_somebody_sets_it(connection: Connection) -> None:
    assert {one.key: one.value for one in all_settings(connection)} == {
        key: known.default for key, known in KNOWN.items()
    }
    write(connection, "currency", "usd")
    write(connection, "currency", "USD")
    assert value_of(connection, "currency") == "USD"
    assert [one.is_default for one in all_settings(connection)] == [False, True, True]
    assert [one.action for one in entries(connection, Wanted("site_settings"))] == ["insert"]
    write(connection, "currency", None)
    assert value_of(connection, "currency") == "ARS"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("currency", value) for value in ("", "pesos", "A1S")),
        *(("price_step", value) for value in ("0", "-1", "NaN", "ten")),
        ("vat_percent", "101"),
    ],
)
def test_a_value_that_cannot_be_is_refused(connection: Connection, key: str, value: str) -> None:
    with pytest.raises(Refused, match=f"{key} is a"):
        write(connection, key, value)
    assert value_of(connection, key) == KNOWN[key].default


def test_a_misspelt_setting_is_answered_with_the_nearest(connection: Connection) -> None:
    with pytest.raises(NotFound, match="did you mean 'vat_percent'"):
        write(connection, "vat_percnt", "21")


def test_a_product_has_one_photo_that_stands_for_it_and_none_twice(connection: Connection) -> None:
    photo, samples = uuid.uuid4(), METADATA.tables["product_sample_images"]
    connection.execute(
        insert(METADATA.tables["images"]).values(
            id=photo, sha256="a" * 64, original_name="a.jpg", file_size_bytes=1
        )
    )
    first, second = connection.execute(text("SELECT id FROM products ORDER BY id LIMIT 2")).scalars()

    def add(product: int, **values: object) -> None:
        row = {"product_id": product, "image_id": photo, "sample_type": "reference"}
        with connection.begin_nested():
            connection.execute(insert(samples).values(row | values))

    add(first, is_primary=True)
    add(second, is_primary=True)
    for rule, values in [
        ("uq_product_sample_images_primary", {"sample_type": "growth_stage", "is_primary": True}),
        ("uq_product_sample_images_product_id_image_id_sample_type", {}),
        ("ck_product_sample_images_sample_type", {"sample_type": "selfie"}),
        ("fk_product_sample_images_image_id", {"image_id": uuid.uuid4()}),
    ]:
        with pytest.raises(IntegrityError, match=rule):
            add(first, **values)
    with pytest.raises(IntegrityError, match="fk_product_sample_images_image_id"):
        connection.execute(text("DELETE FROM images"))
