"""What an audit found, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demeter_cli.formats import Format
from demeter_cli.language import N_, _, day, told
from demeter_cli.vocabulary import word

if TYPE_CHECKING:
    from db.audits import AuditRow


def print_biases(rows: list[dict[str, Any]], output_format: Format, title: str) -> None:
    from demeter_cli import output
    from pipeline.audit.records import Season

    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(rows[0]) if rows else ())
        case Format.TABLE:
            shown = [
                {
                    **row,
                    "season": word(Season(row["season"]).months),
                    "factor": _figure(row["factor"]),
                    "standard_error": _figure(row["standard_error"]),
                    "interval": f"{_figure(row['low'])}–{_figure(row['high'])}",
                }
                for row in rows
            ]
            columns = {
                "product": N_("product"),
                "season": N_("season"),
                "tiles": N_("tiles"),
                "machine": N_("machine"),
                "hand": N_("hand"),
                "factor": N_("factor"),
                "standard_error": "± s.e.",
                "interval": N_("90% range"),
            }
            figures = ("factor", "standard_error", "interval")
            droppable = ("machine", "hand", "standard_error", "tiles", "interval")
            output.print_table(shown, columns, title=title, figures=figures, droppable=droppable)
            for row in rows:
                if row["refusal"] or row["doubt"]:
                    months = word(Season(row["season"]).months)
                    output.say(f"{row['product']} ({months}): {told(row['refusal'] or row['doubt'])}")


def _figure(number: float | None) -> str:
    return "?" if number is None else f"{number:.3f}"


def print_audit(
    audit: AuditRow, tiles: list[dict[str, Any]], found: list[dict[str, Any]], applied: list[dict[str, Any]]
) -> None:
    from demeter_cli import output
    from pipeline.audit.records import Season

    columns = {
        "tile": N_("tile"),
        "place": N_("place"),
        "hand": N_("hand"),
        "machine": N_("machine"),
        "remark": N_("remark"),
    }
    counted = _("{code}: {status}, {n} of {tiles} tiles counted")
    title = counted.format(code=audit.code, status=word(audit.status), n=audit.counted, tiles=audit.tiles)
    output.print_table(tiles, columns, title=title, droppable=("remark",))
    if not found:
        output.say(_("What the machine counted is shown once the hand counts are recorded."))
        return
    output.say("")
    print_biases(found, Format.TABLE, _("Plants by hand for each by machine"))
    for row in applied:
        until = _("until {day}").format(day=day(row["valid_until"]))
        end = _("withdrawn") if row["withdrawn_at"] else until
        months = word(Season(row["season"]).months)
        output.say(
            _("Applied: {product} ({months}) ×{factor:.3f}, {end}").format(
                product=row["product"], months=months, factor=row["factor"], end=end
            )
        )
