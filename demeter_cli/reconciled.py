"""One call of `demeter reconcile`: from the books to the rows printed."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from demeter_cli.formats import Format
from demeter_cli.language import N_, _, day, number, percent, told
from demeter_cli.vocabulary import word
from pipeline.words import Sentence

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
        return _("{first} to {last}").format(first=day(first), last=day(last))


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


def _advice(suspect: Suspect, places: dict[int, str]) -> Sentence:
    from db.triage import Cause

    match suspect.cause:
        case Cause.MISCOUNT:
            return Sentence(
                "look at the pictures of both counts (demeter explain), or photograph the place again"
            )
        case Cause.SALE:
            return Sentence("compare with the sales file: demeter reconcile --sales FILE")
        case Cause.MOVED:
            return Sentence(
                "look at {place}: it has about as many the other way", place=places.get(suspect.place_id or 0)
            )
        case Cause.DEATH:
            return Sentence("count the empty pots and the dead plants there")
        case Cause.PLANTED:
            return Sentence("ask who plants there; book what was planted, and reconcile again")


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
            output.say(_("Nothing was counted in this time, and nothing is missed."))


_LOT_COLUMNS = {"size": N_("size"), "category": N_("in")}
_COLUMNS = {
    "place": N_("place"),
    "product": N_("product"),
    "packaging": N_("pot"),
    **_LOT_COLUMNS,
    "opening": N_("opening"),
    "moved": N_("moved"),
    "expected": N_("expected"),
    "counted": N_("counted"),
    "difference": N_("diff"),
    "interval": N_("90% range"),
    "verdict": N_("verdict"),
}
_DROPPABLE = ("packaging", "moved", "opening", "interval", "product", "expected")


def _print_table(report: Report, *, why: bool) -> None:
    from demeter_cli import output

    shown = [
        row
        | {
            "moved": _net(row),
            "difference": output.signed(row["difference"]),
            "interval": _range(row["low"], row["high"]),
            "verdict": word(row["verdict"]).replace("_", " "),
        }
        for row in report.rows
    ]
    figures = ("difference", "interval")
    first, after = report.summary["from"], report.summary["to"]
    title = _("{first} to {last}").format(first=day(first), last=day(after - dt.timedelta(days=1)))
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
    from demeter_cli import output

    return "" if low is None or high is None else f"{output.signed(low)}…{output.signed(high)}"


def _remarks(row: Row, *, why: bool) -> list[str]:
    """What a person should know of a line, and what to do about it."""
    from demeter_cli import output

    remarks = []
    if row["restates"] is not None:
        then = (
            _("was {change} when it was posted; its month is closed, so the books keep that")
            if row["closed"]
            else _("was {change} when it was posted; --post restates it")
        )
        remarks.append(then.format(change=output.signed(row["restates"])))
    match row["verdict"]:
        case "partial":
            partial = _("the photo shows {share} of the bed; take it again")
            remarks.append(partial.format(share=percent(row["coverage"], 0)))
        case "config_changed":
            remarks.append(
                _("other plants were set to grow there meanwhile; transplant, sell or adjust the old ones")
            )
    if row["causes"] and (why or row["verdict"] != "sale"):
        causes = ", ".join(_cause(one) for one in row["causes"] if one["weight"] >= 0.01)
        remarks.append(f"{causes}; {told(row['check'])}")
    return remarks


# What may have become of plants that are missing, or too many.
_CAUSES = {
    "miscount": N_("miscount"),
    "sale": N_("sale"),
    "moved": N_("moved"),
    "death": N_("death"),
    "planted": N_("planted"),
}


def _cause(one: Row) -> str:
    """`moved to or from N01-NORTE-C02 30%`."""
    named = _(_CAUSES[one["cause"]])
    if one["place"]:
        named = _("{cause} to or from {place}").format(cause=named, place=one["place"])
    return f"{named} {percent(one['weight'], 0)}"


def _totals(summary: Row) -> list[str]:
    from demeter_cli import output

    if not summary["inferred_sales"] and not summary["recorded_sales"]:
        return []
    sold = _("Calculated sales (unexplained outflow): {n}, 90 % range {range}.")
    interval = output.interval(summary["inferred_sales_low"], summary["inferred_sales_high"])
    sentences = [sold.format(n=number(summary["inferred_sales"]), range=interval)]
    if summary["recorded_sales"]:
        recorded = _("Recorded sales beside them: {n}.")
        sentences.append(recorded.format(n=number(summary["recorded_sales"])))
    if summary["missing"] != summary["inferred_sales"]:
        lack = _("All lots for sale that could be compared lack {n}, 90 % range {range}.")
        interval = output.interval(summary["missing_low"], summary["missing_high"])
        sentences.append(lack.format(n=number(summary["missing"]), range=interval))
    return sentences


def _outcome(posted: Posted | None) -> list[str]:
    from demeter_cli import output

    if posted is None:
        return []
    if posted.reconciliation is None:
        return [_("All of this was posted before; nothing changed.")]
    sentence = _(
        "Posted as reconciliation {id}: {new} new lines, {restated} restated, {unchanged} unchanged;"
        " booked {sold} sales."
    )
    if posted.adjusted:
        sentence = _(
            "Posted as reconciliation {id}: {new} new lines, {restated} restated, {unchanged} unchanged;"
            " booked {sold} sales and adjustments of {adjusted}."
        )
    return [
        sentence.format(
            id=posted.reconciliation,
            new=number(posted.new),
            restated=number(posted.restated),
            unchanged=number(posted.unchanged),
            sold=number(posted.sold),
            adjusted=output.signed(posted.adjusted),
        )
    ]
