"""One call of `demeter reconcile`: from the books to the rows printed."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from demeter_cli.formats import Format

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.near import Names
    from db.reconciliations import Posted, Standing
    from db.reconciling import Line, Period
    from db.triage import Suspect, Triage
    from demeter_cli.settings import Settings

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be reconciled."""

    period: Period
    places: tuple[str, ...]
    zone: ZoneInfo
    gains: bool = False

    @property
    def title(self) -> str:
        first, last = (moment.astimezone(self.zone) for moment in (self.period.start, self.period.last))
        return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class Report:
    """`rows` in the stable JSON form; `summary` of all of them; `unexplained` if a person must look."""

    rows: list[Row]
    summary: Row
    posted: Posted | None
    unexplained: bool


@dataclass(frozen=True, slots=True)
class Reconciling:
    connection: Connection
    settings: Settings
    asked: Asked

    def run(self, *, post: bool, user: str | None) -> Report:
        """Reconcile, post if asked to, and tell how things stand then."""
        from db.near import names, near
        from db.reconciliations import standing
        from db.triage import triage

        posted = self._post(user) if post else None
        connection, asked = self.connection, self.asked
        found = standing(connection, asked.period, asked.places)
        lines = [one.line for one in found]
        called = names(connection, [line.key for line in lines])
        causes = triage(lines, near(connection, {line.key.place_id for line in lines}))
        places = {key.place_id: name.place for key, name in called.items()}
        connection.rollback()
        rows = [
            _row(one, called[one.line.key], _causes(causes.get(index), places), asked.zone)
            for index, one in enumerate(found)
        ]
        return Report(rows, _summary(asked, lines), posted, _unexplained(found))

    def _post(self, user: str | None) -> Posted:
        from db.reconciliations import post
        from demeter_cli.site import DECIDERS, actor, booking

        asked = self.asked

        def work() -> Posted:
            who = actor(self.connection, self.settings, *DECIDERS, user=user)
            return post(self.connection, asked.period, who, asked.places, gains=asked.gains, zone=asked.zone)

        return booking(self.connection, asked.zone, work)


def _unexplained(found: Sequence[Standing]) -> bool:
    from db.models.vocabulary import LineVerdict
    from db.reconciling import to_explain

    accepted = [
        one.line.key
        for one in found
        if one.line.verdict is LineVerdict.GAIN and one.posted and not one.restated
    ]
    open_lines = [line for line in to_explain([one.line for one in found]) if line.key not in accepted]
    return bool(open_lines) or any(one.restated and not one.closed for one in found)


def _row(one: Standing, name: Names, causes: Row, zone: ZoneInfo) -> Row:
    """The stable JSON form of a line; see docs/json.md."""
    line = one.line
    low, high = line.bounds or (None, None)
    opening, closing = line.opening, line.closing
    return {
        "place": name.place,
        "category": line.key.category,
        "product": name.product,
        "sku": name.sku,
        "size": name.size,
        "packaging": name.packaging,
        "opening_at": opening and opening.at.astimezone(zone),
        "opening": opening and opening.quantity,
        "opening_low": opening and opening.low,
        "opening_high": opening and opening.high,
        **asdict(line.flows),
        "expected": line.expected,
        "counted_at": closing and closing.at.astimezone(zone),
        "counted": closing and closing.quantity,
        "counted_low": closing and closing.low,
        "counted_high": closing and closing.high,
        "difference": line.difference,
        "low": low,
        "high": high,
        "verdict": line.verdict.value,
        "inferred_sales": line.inferred_sales,
        "coverage": None if line.coverage is None else round(line.coverage, 3),
        "posted": one.posted,
        "restates": one.earlier if one.restated else None,
        "closed": one.closed,
        **causes,
    }


def _causes(found: Triage | None, places: dict[int, str]) -> Row:
    if found is None:
        return {"causes": [], "check": None}
    causes = [
        {
            "cause": suspect.cause.value,
            "weight": round(suspect.weight, 3),
            "place": places.get(suspect.place_id or 0),
        }
        for suspect in found.suspects
    ]
    return {"causes": causes, "check": _advice(found.check, places)}


def _advice(suspect: Suspect, places: dict[int, str]) -> str:
    from db.triage import Cause

    match suspect.cause:
        case Cause.MISCOUNT:
            return "look at the pictures of both counts (demeter explain), or photograph the place again"
        case Cause.SALE:
            return "compare with the sales file: demeter reconcile --sales FILE"
        case Cause.MOVED:
            return f"look at {places.get(suspect.place_id or 0)}: it has about as many the other way"
        case Cause.DEATH:
            return "count the empty pots and the dead plants there"
        case Cause.PLANTED:
            return "ask who plants there; book what was planted, and reconcile again"


def _summary(asked: Asked, lines: Sequence[Line]) -> Row:
    """Sales with the bounds of their sum. The sum of all lots that could be compared is told beside: what
    is beyond the error in single lots is a selection, and leans to one side."""
    from db.models.vocabulary import LineVerdict
    from db.reconciling import sum_of_differences

    verdicts = Counter(line.verdict.value for line in lines)
    compared = (LineVerdict.BALANCED, LineVerdict.SALE, LineVerdict.INDISTINCT, LineVerdict.GAIN)
    sold = sum_of_differences([line for line in lines if line.verdict is LineVerdict.SALE])
    missing = sum_of_differences([line for line in lines if line.sellable and line.verdict in compared])
    return {
        "from": asked.period.start.astimezone(asked.zone),
        "to": asked.period.end.astimezone(asked.zone),
        "verdicts": dict(sorted(verdicts.items())),
        "inferred_sales": -sold[0],
        "inferred_sales_low": -sold[2],
        "inferred_sales_high": -sold[1],
        "recorded_sales": -sum(line.flows.sold for line in lines),
        "missing": -missing[0],
        "missing_low": -missing[2],
        "missing_high": -missing[1],
    }


CSV_COLUMNS = (
    *("place", "category", "product", "sku", "size", "packaging"),
    *("opening_at", "opening", "opening_low", "opening_high"),
    *("initial", "sown", "planted", "received", "sent", "died", "sold", "adjusted", "expected"),
    *("counted_at", "counted", "counted_low", "counted_high", "difference", "low", "high"),
    *("verdict", "inferred_sales", "coverage", "posted", "restates", "closed", "check"),
)


def print_report(report: Report, output_format: Format, *, why: bool) -> None:
    from demeter_cli import output

    match output_format:
        case Format.JSON:
            posted = report.posted and asdict(report.posted)
            output.print_json({"summary": report.summary, "lines": report.rows, "posted": posted})
        case Format.CSV:
            output.print_csv(report.rows, CSV_COLUMNS)
        case Format.TABLE if report.rows:
            _print_table(report, why=why)
        case Format.TABLE:
            output.say("Nothing was counted in this time, and nothing is missed.")


_LOT_COLUMNS = {"size": "size", "category": "in"}
_COLUMNS = {
    "place": "place",
    "product": "product",
    "packaging": "pot",
    **_LOT_COLUMNS,
    "opening": "opening",
    "moved": "moved",
    "expected": "expected",
    "counted": "counted",
    "difference": "diff",
    "interval": "90% range",
    "verdict": "verdict",
}
_DROPPABLE = ("packaging", "moved", "opening", "interval", "product", "expected")


def _print_table(report: Report, *, why: bool) -> None:
    from demeter_cli import output

    shown = [
        row
        | {
            "moved": _net(row),
            "difference": "" if row["difference"] is None else f"{row['difference']:+d}",
            "interval": _range(row["low"], row["high"]),
            "verdict": row["verdict"].replace("_", " "),
        }
        for row in report.rows
    ]
    figures = ("difference", "interval")
    title = f"{report.summary['from']:%Y-%m-%d} to {report.summary['to'] - dt.timedelta(days=1):%Y-%m-%d}"
    needed = output.parting(report.rows, _LOT_COLUMNS)
    columns = {key: name for key, name in _COLUMNS.items() if key in needed or key not in _LOT_COLUMNS}
    output.print_table(shown, columns, title=title, droppable=(*_DROPPABLE, *needed), figures=figures)
    for row in report.rows:
        for sentence in _remarks(row, why=why):
            output.say(f"  {row['place']}: {sentence}")
    for sentence in (*_totals(report.summary), *_outcome(report.posted)):
        output.say(sentence)


def _net(row: Row) -> int:
    moved = ("initial", "sown", "planted", "received", "sent", "died", "sold", "adjusted")
    return sum(row[name] for name in moved)


def _range(low: int | None, high: int | None) -> str:
    return "" if low is None or high is None else f"{low:+d}…{high:+d}"


def _remarks(row: Row, *, why: bool) -> list[str]:
    """What a person should know of a line, and what to do about it."""
    told = []
    if row["restates"] is not None:
        then = "its month is closed, so the books keep that" if row["closed"] else "--post restates it"
        told.append(f"was {row['restates']:+d} when it was posted; {then}")
    match row["verdict"]:
        case "partial":
            told.append(f"the photo shows {row['coverage']:.0%} of the bed; take it again")
        case "config_changed":
            told.append(
                "other plants were set to grow there meanwhile; transplant, sell or adjust the old ones"
            )
    if row["causes"] and (why or row["verdict"] != "sale"):
        causes = ", ".join(
            f"{one['cause']}{' to or from ' + one['place'] if one['place'] else ''} {one['weight']:.0%}"
            for one in row["causes"]
            if one["weight"] >= 0.01
        )
        told.append(f"{causes}; {row['check']}")
    return told


def _totals(summary: Row) -> list[str]:
    if not summary["inferred_sales"] and not summary["recorded_sales"]:
        return []
    low, high = summary["inferred_sales_low"], summary["inferred_sales_high"]
    told = [f"Calculated sales (unexplained outflow): {summary['inferred_sales']}, 90 % range {low}–{high}."]
    if summary["recorded_sales"]:
        told.append(f"Recorded sales beside them: {summary['recorded_sales']}.")
    if summary["missing"] != summary["inferred_sales"]:
        low, high = summary["missing_low"], summary["missing_high"]
        told.append(
            f"All lots for sale that could be compared lack {summary['missing']}, 90 % range {low}–{high}."
        )
    return told


def _outcome(posted: Posted | None) -> list[str]:
    if posted is None:
        return []
    if posted.reconciliation is None:
        return ["All of this was posted before; nothing changed."]
    lines = f"{posted.new} new lines, {posted.restated} restated, {posted.unchanged} unchanged"
    booked = f"booked {posted.sold} sales" + (
        f" and adjustments of {posted.adjusted:+d}" * bool(posted.adjusted)
    )
    return [f"Posted as reconciliation {posted.reconciliation}: {lines}; {booked}."]
