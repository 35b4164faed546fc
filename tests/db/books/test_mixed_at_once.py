"""Photos, movements, decisions and reconciliations of the same places at once, each in its own process."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import func, select, text

from db.engine import connect
from db.models.photos import PhotoSession
from db.models.stock import StockBatch
from db.verify import findings
from tests.db.books.test_at_once import CODES, at_once
from tests.db.counting import begin

PROCESSES, ROUNDS = 8, 3

# Each round does one of everything, in an order of its own. What the books refuse is no fault; whatever else
# goes wrong ends the program with a traceback, which the test reads.
PROGRAM = """
import datetime as dt, random, sys
from db import deciding
from db.engine import connect, retry
from db.errors import LedgerRefused
from db.models.vocabulary import MovementType as Type
from db.movements import Entry, book
from db.batches import Spot
from db.plausible import Limits
from db.reconciliations import post
from db.reconciling import Period
from db.runs import Policy, RunInfo
from db.stock import lot_at
from pipeline.types import ContainerKind
from tests.db.counting import MODEL, count_photo, place
from tests.db.seen import a_photo, a_result

seed, url, run, rounds, *codes = sys.argv[1:]
chance = random.Random(int(seed))
day = lambda: dt.datetime(2026, 3, 1 + chance.randrange(28), chance.randrange(24), tzinfo=dt.UTC)
period = Period(dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 4, 1, tzinfo=dt.UTC))

def photo(connection):
    wanted = {ContainerKind.SEGMENT: chance.randrange(400, 600), ContainerKind.BOX: chance.randrange(9)}
    result = a_result(a_photo(f"{seed} {chance.random()}"), wanted, taken_at=day())
    policy = Policy(limits=Limits(0.2, 0.1, 0.3) if chance.random() < 0.5 else None)
    info = RunInfo(int(run), *MODEL, "c0ffee", 1, policy)
    sessions.append(count_photo(connection, info, result, chance.choice(codes)).session_id)

def move(connection):
    spots = [Spot(place(connection, code).id, "segment", None) for code in chance.sample(codes, 2)]
    lots = [lot_at(connection, spot.location_id, period.start) for spot in spots]
    connection.rollback()
    entries = [
        Entry(movement_type=kind, where=Spot(spot.location_id, "segment", lot), quantity=plants,
              occurred_at=day(), user_id=1)
        for spot, lot, (kind, plants) in zip(spots, lots, [(Type.PLANTAR, 40), (Type.MUERTE, -2)])
    ]
    retry(connection, lambda: book(connection, entries))

def decide(connection):
    if sessions:
        one = chance.choice(sessions)
        act = chance.choice([
            lambda: deciding.accept(connection, one, 1),
            lambda: deciding.reject(connection, one, 1, "blurred"),
        ])
        retry(connection, act)

def reconcile(connection):
    retry(connection, lambda: post(connection, period, 1, gains=chance.random() < 0.5))

sessions = []
print("ready", flush=True)
sys.stdin.readline()
with connect(url) as connection:
    for _ in range(int(rounds)):
        for work in chance.sample([photo, move, decide, reconcile], 4):
            try:
                work(connection)
            except LedgerRefused:
                pass
            assert not connection.in_transaction()
"""


def test_eight_processes_do_everything_at_once_and_the_books_stay_sound(module_url: str) -> None:
    with connect(module_url) as connection:
        run = begin(connection)
    at_once(PROGRAM, PROCESSES, module_url, run.id, ROUNDS, *CODES)

    with connect(module_url) as connection:
        assert list(findings(connection)) == []
        statuses = Counter(connection.scalars(select(PhotoSession.status)))
        assert statuses.total() == PROCESSES * ROUNDS
        assert statuses.keys() <= {"completed", "warning"}
        held = connection.execute(
            select(func.sum(StockBatch.quantity_current), func.min(StockBatch.quantity_current))
        ).one()
        assert held[0] > 0 <= held[1]
        kinds = set(connection.scalars(text("SELECT DISTINCT movement_type FROM stock_movements")))
        assert {"foto", "plantar", "muerte"} <= kinds
        posted = connection.scalar(text("SELECT count(*) FROM reconciliation_lines"))
        assert posted
