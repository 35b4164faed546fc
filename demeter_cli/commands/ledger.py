"""demeter stock list, import, verify: many movements at once."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from demeter_cli.formats import Format, UserOption
from demeter_cli.language import N_, _, why

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
MOST_LINES = 50


def list_movements(
    ctx: typer.Context,
    place: Annotated[str | None, typer.Option(help="Only this place, bed or bay.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--type", help="Only this type, such as death or muerte; repeatable.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From this day or moment on.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this day or moment.")] = None,
    product: Annotated[str | None, typer.Option(help="Only this product, by SKU.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="EMAIL", help="Only what this user booked.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="The last so many; 0 for all.")] = MOST_LINES,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """List movements in the order in which they happened, with the ids that undo takes.

    Example: demeter stock list --place N01 --type death --since 2026-11-01
    """
    from db.journal import Chosen, movements
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    zone = ZoneInfo(settings.timezone)
    chosen = Chosen(
        place=place,
        types=[_movement_type(word) for word in kind or ()],
        since=_bound(since, zone, "--since"),
        until=_bound(until, zone, "--until"),
        product=product,
        user=by,
    )
    with open_database(settings) as connection:
        lines = movements(connection, chosen, None if limit == 0 else limit + 1)
    cut = 0 < limit < len(lines)
    rows = [output.local(asdict(line), zone) for line in (lines[1:] if cut else lines)]
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, CSV_COLUMNS)
        case Format.TABLE if rows:
            shown = [
                {
                    **row,
                    "quantity": output.signed(row["quantity"]),
                    "note": _note(row["undoes"], row["undone_by"], row["reason"]),
                }
                for row in rows
            ]
            droppable = ("user", "packaging", "note", "sku", "occurred_at")
            output.print_table(shown, COLUMNS, droppable=droppable, figures=("quantity",))
        case Format.TABLE:
            output.say(_("No movement: nothing fits, or nothing is booked yet."))
    if cut:
        output.tell(_("The last {limit}; --limit 0 lists all.").format(limit=limit))


def import_movements(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or spreadsheet; docs/stock.md names its columns.")],
    kind: Annotated[
        str | None, typer.Option("--type", help="What the lines are, where no column says: sow, death, …")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Book the good lines though others are rejected.")
    ] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="Write rejected lines to this CSV file, to be corrected there.")
    ] = None,
    override: Annotated[
        bool, typer.Option("--override", help="init: though places are configured otherwise, or not at all.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be booked, and do nothing.")
    ] = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Book a file of movements, one a line: all of them, or where one is wrong, none.

    The same file again books nothing twice.

    Example: demeter stock import november.csv --dry-run
    """
    from demeter_cli.booking import Way
    from demeter_cli.bulk import Wishes, import_file
    from demeter_cli.settings import load_settings

    way = Way(load_settings(ctx.obj), user, dry_run, output_format)
    import_file(file, Wishes(kind, partial, override, rejects), way)


def verify(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing when all is well.")] = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Recompute every rule of the books from their rows; the exit code tells (0 or 9).

    Balances, stock that was ever below nothing, transfers, reversals, counts, closed months.

    Example: demeter stock verify --quiet
    """
    from db.verify import CHECKS, findings
    from demeter_cli import output
    from demeter_cli.commands.period import read_key
    from demeter_cli.errors import ExitCode
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    key = read_key(settings.period_key)
    with open_database(settings) as connection:
        rows = [asdict(one) for one in findings(connection, key)]
    columns = {"check": N_("check"), "what": N_("what"), "problem": N_("problem")}
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE if rows:
            output.print_table(rows, columns, droppable=("check",))
        case Format.TABLE if not quiet:
            output.say(_("The books are sound: {n} checks, nothing found.").format(n=len(CHECKS)))
    if rows:
        raise typer.Exit(ExitCode.MISMATCH)


COLUMNS = {
    "id": N_("id"),
    "occurred_at": N_("when"),
    "type": N_("type"),
    "place": N_("place"),
    "quantity": N_("moved"),
    "sku": N_("product"),
    "packaging": N_("pot"),
    "user": N_("by"),
    "note": N_("note"),
}
CSV_COLUMNS = (
    *("id", "occurred_at", "recorded_at", "type", "place", "quantity", "sku", "product", "state", "size"),
    *("packaging", "container", "user", "source", "reason", "transfer", "undoes", "undone_by", "batch"),
    *("unit_price", "total_price"),
)


def _note(undoes: int | None, undone_by: int | None, reason: str | None) -> str:
    if undone_by is not None:
        return _("undone by {id}").format(id=undone_by)
    return _("undoes {id}").format(id=undoes) if undoes is not None else reason or ""


def _movement_type(word: str) -> str:
    """The type in the books for a word of the commands or of the books. Raises BadParameter."""
    from db.imports.words import key, nearest
    from db.models.vocabulary import MovementType

    known = {
        **{key(one): one.value for one in MovementType},
        "sow": "sembrar",
        "plant": "plantar",
        "transplant": "transplante",
        "move": "transplante",
        "death": "muerte",
        "sale": "ventas",
        "adjust": "ajuste",
        "init": "manual_init",
        "count": "foto",
    }
    found = known.get(key(word))
    if found is None:
        hint = nearest(word, known) or f"; there are {', '.join(known)}"
        raise typer.BadParameter(
            _("there is no type {word!r}{hint}").format(word=word, hint=hint), param_hint="--type"
        )
    return found


def _bound(text: str | None, zone: ZoneInfo, option: str) -> dt.datetime | None:
    """A day begins at its first moment for --since, and ends with its last for --until."""
    from db.imports.dates import parse_day
    from db.moments import parse_moment

    if text is None:
        return None
    try:
        if ":" not in text:
            edge = dt.time.min if option == "--since" else dt.time.max
            return dt.datetime.combine(parse_day(text), edge, zone)
        return parse_moment(text, zone, dt.datetime.max.replace(tzinfo=dt.UTC))
    except ValueError as error:
        raise typer.BadParameter(_("it {problem}").format(problem=why(error)), param_hint=option) from error
