"""Every rule of the ledger, broken once on the command line and once in a file: what is said, the exit code,
and books in which nothing has changed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import insert, text, update

from db.models.people import User
from tests.cli.shop import Shop
from tests.conftest import _copied, _url_of
from tests.db.nursery import TABLES


@pytest.fixture(scope="module")
def shop(server: str, demo_template: str) -> Iterator[Shop]:
    """A nursery in which September 2026 is closed and something stands at four places."""
    with _copied(server, demo_template) as name:
        shop = Shop(_url_of(server, name))
        with shop.database() as connection:
            people = [
                {"email": f"{role}@vivero.ar", "first_name": role, "last_name": "Paz", "role": role}
                for role in ("worker", "viewer", "supervisor")
            ]
            connection.execute(insert(User), people)
            retired = update(TABLES["products"]).where(TABLES["products"].c.sku == "MAM-BAC-001")
            connection.execute(retired.values(active=False))
            places = TABLES["storage_locations"]
            connection.execute(update(places).where(places.c.code == "N02-SUR-C04").values(active=False))
        shop.done("stock", "init", "N01-NORTE-C01", 100, "--date", "2026-09-10")
        assert shop.run("period", "close", "2026-09", "--yes").code == 0
        shop.done("stock", "init", "N01-NORTE-C04", 50, "--date", "2026-10-02")
        shop.done("stock", "sow", "N02-SUR-C05", 288, "--date", "2026-10-02", "--product", "MAM-BOC-001")
        shop.done("stock", "plant", "N01-NORTE-C05", 30, "--date", "2026-10-02")
        shop.done("stock", "plant", "N01-NORTE-C05", 20, "--date", "2026-10-02", "--size", "S")
        yield shop


@dataclass(frozen=True)
class Case:
    """What is asked for, the words of the answer, and the exit code on the command line (a file's is 9)."""

    kind: str
    place: str
    quantity: object
    words: str
    code: int = 9
    said: tuple[tuple[str, str], ...] = ()

    def arguments(self) -> list[str]:
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self.said if name != "to_place"]
        to = [value for name, value in self.said if name == "to_place"]
        if self.kind == "move":
            return ["stock", "move", self.place, *to, str(self.quantity), *options]
        return ["stock", self.kind, self.place, str(self.quantity), *options, *(f"--to={one}" for one in to)]

    def write(self, path: Path) -> Path:
        row = {"type": self.kind, "place": self.place, "quantity": str(self.quantity), **dict(self.said)}
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerow(row)
        return path


C01, C04, C05, TRAYS = "N01-NORTE-C01", "N01-NORTE-C04", "N01-NORTE-C05", "N02-SUR-C05"


def case(kind: str, place: str, quantity: object, words: str, code: int = 9, **said: str) -> Case:
    return Case(kind, place, quantity, words, code, tuple(said.items()))


CASES = [
    case("death", C01, 0, "the quantity must be from 1 to 1,000,000, not 0", 2),
    case("death", C01, -5, "the quantity must be from 1 to 1,000,000, not -5", 2),
    case("plant", C01, 10**9, "the quantity must be from 1 to 1,000,000, not 1,000,000,000", 2),
    case("death", C01, "12 maybe", "'12 maybe'", 2),
    case("death", C01, "1e9", "'1e9'", 2),
    case("death", C01, 1, "is in the future: 2999-01-01", 2, date="2999-01-01"),
    case("death", C01, 1, "is no day of the calendar: '2026-02-31'", 2, date="2026-02-31"),
    case("death", C01, 1, "must be a day like 2026-03-31", 2, date="2026-10-01T25:00"),
    case("death", C01, 1, "must be a day like", 2, date="yesterday"),
    case("death", "N01-NORTE-C10", 1, "no place 'N01-NORTE-C10'; did you mean 'N01-NORTE-C0", 2),
    case(
        "death", "N02-SUR-C04", 1, "the place N02-SUR-C04 is not in use any more; did you mean 'N02-SUR-C0", 2
    ),
    case("plant", C01, 1, "no product 'MAM-BOC-01'; did you mean 'MAM-BOC-001'", 2, product="MAM-BOC-01"),
    case("plant", C01, 1, "MAM-BAC-001 is not in use any more", 2, product="MAM-BAC-001"),
    case("plant", C01, 1, "no pot 'MAC-R8-TT'; did you mean 'MAC-R8-T'", 2, packaging="MAC-R8-TT"),
    case("plant", C01, 1, "no state 'adlut'; did you mean 'ADULT'", 2, state="adlut"),
    case("plant", C01, 1, "no size 'XM'", 2, size="XM"),
    case("plant", C01, 1, "no kind of container 'segmnt'; did you mean 'segment'", 2, container="segmnt"),
    case(
        "plant",
        C01,
        1,
        "not configured for FER-LAT-001: say the state and the packaging",
        2,
        product="FER-LAT-001",
    ),
    case("death", C01, 101, "MAM-BOC-001 in MAC-R8-T at N01-NORTE-C01 would hold −1 on"),
    case("death", C04, 1, "would hold −1 on 2026-10-01 at 23:59", 9, date="2026-10-01"),
    case("death", "N01-SUR-C01", 1, "N01-SUR-C01 holds no plants"),
    case(
        "death",
        C05,
        1,
        "holds several lots; say which, by size: it holds 30 of GYM-BAL-001 (ADULT, size M",
        2,
    ),
    case("death", C05, 1, "holds no such plants; it holds 30 of GYM-BAL-001", 9, size="XL"),
    case("death", C01, 1, "closed", 9, date="2026-09-30"),
    case("sale", TRAYS, 5, "is never sold as it is: transplant the plants first"),
    case("sale", C01, 5, "is no price like 1250.50", 2, price="0.001"),
    case("transplant", C01, 5, "nothing would change"),
    case("transplant", C01, 101, "would hold −1 on", 9, to_place=C04),
    case(
        "transplant",
        TRAYS,
        10,
        "10 plants do not fill pots of 3: 1 left over",
        9,
        to_packaging="MAC-R8-T",
        plants_per_pot="3",
    ),
    case(
        "transplant",
        TRAYS,
        10,
        "of 10 plants, 11 cannot die on the way",
        2,
        to_packaging="MAC-R8-T",
        deaths="11",
    ),
    case("transplant", TRAYS, 10, "all 10 die on the way", 9, to_packaging="MAC-R8-T", deaths="10"),
    case(
        "transplant",
        TRAYS,
        10,
        "plants per pot must be from 1 to 1,000",
        2,
        to_packaging="MAC-R8-T",
        plants_per_pot="0",
    ),
    case("move", C01, 5, "nothing would change", 9, to_place=C01),
    case("move", C01, 5, "there is no place 'N01'", 2, to_place="N01"),
    case("adjust", C01, 0, "but not 0", 2, reason="recount"),
    case("adjust", C01, -101, "would hold −1 on", 9, reason="recount"),
    case("adjust", C01, 5, "an adjustment needs a reason", 2, reason=" "),
    case("init", "N01-SUR-C01", 100_001, "the quantity must be from 1 to 100,000", 2),
    case(
        "init",
        "N01-SUR-C01",
        9,
        "is configured for product ECH-ELE-001, not for MAM-BOC-001",
        9,
        product="MAM-BOC-001",
    ),
    case("init", "N01-SUR-C01", 9, "is configured for pot MAC-R8-D, not for none", 9, packaging="none"),
    case("init", "N02-SUR-C05", 9, "nothing is configured to grow at N02-SUR-C05"),
    case("init", C04, 9, "holds 50 already: a first count is for what is not in the books yet"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind} {case.quantity} {case.words[:30]}")
def test_a_broken_rule_is_told_in_one_sentence_and_books_nothing(
    shop: Shop, case: Case, tmp_path: Path
) -> None:
    before = fingerprint(shop)

    told = shop.run(*case.arguments())
    assert told.code == case.code, told.err
    assert case.words in " ".join(told.err.replace("│", "").split())

    told = shop.run("stock", "import", case.write(tmp_path / "one.csv"))
    assert told.code == 9, told.err
    assert "line 2: " in told.err
    assert case.words in told.err
    assert "Nothing was booked" in told.out

    assert fingerprint(shop) == before


def test_an_adjustment_is_a_supervisors_and_a_viewer_books_nothing(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "adjust.csv"
    file.write_text(f"type,place,quantity,reason\nadjust,{C01},-1,recount\n")
    for arguments in (("stock", "adjust", C01, -1, "--reason", "recount"), ("stock", "import", file)):
        told = shop.run(*arguments, "--user", "worker@vivero.ar")
        assert told.code == 2
        assert "worker@vivero.ar is worker" in told.err
    assert "is viewer" in shop.run("stock", "death", C01, 1, "--user", "viewer@vivero.ar").err
    assert shop.done(
        "stock", "adjust", C01, -1, "--reason", "recount", "--user", "supervisor@vivero.ar", "-n"
    )


def test_a_time_that_the_clock_showed_twice_or_never_is_refused(shop: Shop) -> None:
    berlin = Shop(shop.url, {"DEMETER_TIMEZONE": "Europe/Berlin"})
    twice = berlin.run("stock", "death", C01, 1, "--date", "2026-10-25T02:30")
    never = berlin.run("stock", "death", C01, 1, "--date", "2026-03-29T02:30")

    assert (twice.code, never.code) == (2, 2)
    assert "2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00" in " ".join(twice.err.split())
    assert "were put forward" in " ".join(never.err.split())
    assert berlin.done("stock", "death", C01, 1, "--date", "2026-10-25T02:30+01:00", "--dry-run")


def test_what_was_refused_left_sound_books(shop: Shop) -> None:
    assert shop.run("stock", "verify").code == 0


def fingerprint(shop: Shop) -> tuple[int, ...]:
    with shop.database() as connection:
        query = "SELECT (SELECT count(*) FROM {}), (SELECT count(*) FROM {}), (SELECT count(*) FROM {})"
        tables = ("stock_movements", "counts", "stock_batches")
        return tuple(connection.execute(text(query.format(*tables))).one())
