"""Many programs that book on the same places at once: nothing is lost, and nobody hears of a deadlock."""

from __future__ import annotations

import random
import subprocess
import sys

from sqlalchemy import func, select

from db.batches import Spot
from db.engine import connect, retry
from db.models.stock import StockBatch, StockMovement
from db.models.vocabulary import MovementType
from db.movements import Entry, book
from db.stock import lot_at
from db.verify import findings
from tests.db.books.test_any_order import NEW_YEAR
from tests.db.counting import place

CODES = ("N01-NORTE-C01", "N01-SUR-C03", "N02-NORTE-C05", "N02-NORTE-C01")
PROCESSES, BOOKINGS, AT_FIRST = 8, 12, 1000

# Carries plants to and fro in an order of its own, and takes one booking back.
PROGRAM = """
import datetime as dt, random, sys, uuid
from db.engine import connect, retry
from db.models.vocabulary import MovementType as Type
from db.movements import Entry, book
from db.undoing import undo

seed, url, bookings, *batches = sys.argv[1:]
chance, batches = random.Random(int(seed)), [int(one) for one in batches]
print("ready", flush=True)
sys.stdin.readline()
with connect(url) as connection:
    last = None
    for number in range(int(bookings)):
        here, there = chance.sample(batches, 2)
        at = dt.datetime(2026, 1, 2 + chance.randrange(20), 12, tzinfo=dt.UTC)
        common = {"occurred_at": at, "user_id": 1, "transfer_id": uuid.uuid4()}
        legs = [(Type.TRANSPLANTE, here, -3), (Type.TRANSPLANTE, there, 3), (Type.MUERTE, here, -1)]
        chance.shuffle(legs)
        entries = [Entry(movement_type=t, where=b, quantity=q, **common) for t, b, q in legs]
        last = retry(connection, lambda: book(connection, entries))[0].id
    retry(connection, lambda: undo(connection, last, 1))
"""


def test_eight_processes_book_on_the_same_places_at_once(module_url: str) -> None:
    batches = stocked(module_url)
    at_once(PROGRAM, PROCESSES, module_url, BOOKINGS, *batches)

    with connect(module_url) as connection:
        assert list(findings(connection)) == []
        written = connection.scalar(select(func.count()).select_from(StockMovement))
        held = connection.scalar(select(func.sum(StockBatch.quantity_current)))
    kept = PROCESSES * (BOOKINGS - 1)
    assert written == len(batches) + PROCESSES * (BOOKINGS + 1) * 3
    assert held == AT_FIRST * len(batches) - kept  # one died on each way that was not taken back


def at_once(program: str, times: int, *arguments: object) -> None:
    """Start the program several times, let all begin together, and see each end well."""
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, str(seed), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(times)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120)[1] for process in running]
    assert told == [""] * times
    assert [process.returncode for process in running] == [0] * times


def stocked(url: str) -> list[int]:
    """Batches of one lot at several places, with plants."""
    with connect(url) as connection:
        places = [place(connection, code) for code in CODES]
        lot = lot_at(connection, places[0].id, NEW_YEAR)
        connection.rollback()
        assert lot is not None
        entries = [
            Entry(
                movement_type=MovementType.PLANTAR,
                where=Spot(one.id, "segment", lot),
                quantity=AT_FIRST,
                occurred_at=NEW_YEAR,
                user_id=1,
            )
            for one in places
        ]
        booked = retry(connection, lambda: book(connection, entries))
    ids = [one.batch_id for one in booked]
    random.Random(7).shuffle(ids)
    return ids


# Makes the same batches as the others, in an order of its own.
MAKER = """
import random, sys
from db.batches import Lot, Spot, ensure_batches
from db.engine import connect, retry
import datetime as dt

seed, url, product, state, *places = sys.argv[1:]
lot = Lot(int(product), int(state), None, None)
spots = [Spot(int(place), category, lot) for place in places for category in ("box", "segment")]
random.Random(int(seed)).shuffle(spots)
day = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
print("ready", flush=True)
sys.stdin.readline()
with connect(url) as connection:
    for number in range(0, len(spots), 2):
        some = {spot: day for spot in spots[number : number + 2]}
        retry(connection, lambda: ensure_batches(connection, some))
"""


def test_batches_made_at_once_are_made_once_and_numbered_without_a_gap(module_url: str) -> None:
    with connect(module_url) as connection:
        places = [place(connection, code).id for code in CODES]
        lot = lot_at(connection, places[0], NEW_YEAR)
    assert lot is not None
    key = (lot.product_id, lot.state_id, *places)
    at_once(MAKER, 4, module_url, *key)

    with connect(module_url) as connection:
        made = connection.scalars(
            select(StockBatch.batch_code).where(StockBatch.batch_code.like("%-20260501-%"))
        ).all()
    prefix = f"PROD{lot.product_id}-20260501"
    assert sorted(made) == sorted(f"LOC{one}-{prefix}-00{number}" for one in places for number in (1, 2))
