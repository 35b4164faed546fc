"""demeter photos: look through what was counted, and decide about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demeter_cli.formats import Format, UserOption
from demeter_cli.language import N_, _, told

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from db.deciding import Decided
    from db.models.vocabulary import SessionStatus
    from db.worklist import WaitingPhoto

app = typer.Typer(no_args_is_help=True)
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
Numbers = Annotated[
    list[int], typer.Argument(help="Numbers of photos, as `demeter photos list` prints them.")
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the decision.")]


@app.callback()
def photos() -> None:
    """Decide about what was counted in photos. It takes a supervisor; docs/month-end.md tells the steps.

    Example: demeter photos list
    """


COLUMNS = {
    "session": N_("photo"),
    "place": N_("place"),
    "category": N_("in"),
    "counted_at": N_("taken"),
    "expected": N_("books"),
    "plants": N_("counted"),
    "interval": N_("90% range"),
    "status": N_("status"),
}
CSV_COLUMNS = (
    *("session", "photo", "place", "category", "counted_at", "expected", "plants", "low", "high"),
    *("status", "notes", "overlay_key"),
)


@app.command("list")
def list_photos(
    ctx: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what was decided, not only what waits.")
    ] = False,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these: proposed, needs_location, needs_config, needs_calibration, refused, failed,"
            " discarded."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """List the photos that wait for a person, each with what it waits for and the command that settles it.

    Of counts that are proposed, the table also has what the books have there.

    Example: demeter photos list --all --limit 20
    """
    from zoneinfo import ZoneInfo

    from db.deciding import photo_counts
    from db.worklist import waiting_photos
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    zone = ZoneInfo(settings.timezone)
    counts, statuses = _wanted(status or [])
    with open_database(settings) as connection:
        found = photo_counts(connection, waiting=not everything, limit=limit) if counts else []
        waiting = waiting_photos(connection, statuses, limit)
    rows = [asdict(row) | {"counted_at": row.counted_at.astimezone(zone)} for row in found]
    rows += [_as_row(one, zone) for one in waiting]
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, CSV_COLUMNS)
        case Format.TABLE if rows:
            shown = [row | {"interval": output.interval(row["low"], row["high"])} for row in rows]
            output.print_table(shown, COLUMNS, droppable=("counted_at", "category", "interval", "status"))
            waits = [(row["session"], row["status"], row["notes"]) for row in rows if row["notes"]]
            for session, state, notes in dict.fromkeys(waits):
                if state not in ("accepted", "rejected"):
                    output.say(f"  {session}: {told(notes or '')}{_next(state, session)}")
        case Format.TABLE:
            output.say(_("No count waits for a decision."))


def _wanted(names: list[str]) -> tuple[bool, list[SessionStatus]]:
    """Whether proposed counts are asked for, and which photos that are not in the books."""
    from db.models.vocabulary import SessionStatus
    from db.worklist import WAITING

    known = {one.value: one for one in (*WAITING, SessionStatus.DISCARDED)}
    if wrong := [name for name in names if name not in {*known, "proposed"}]:
        told_ = _("{name!r} is none of {names}").format(name=wrong[0], names=", ".join(["proposed", *known]))
        raise typer.BadParameter(told_, param_hint="--status")
    return not names or "proposed" in names, [known[name] for name in names if name in known] or (
        [] if names else list(WAITING)
    )


def _as_row(one: WaitingPhoto, zone: ZoneInfo) -> dict[str, Any]:
    """A photo that is not in the books, with the keys of one that is."""
    return {
        "session": one.session,
        "photo": one.photo,
        "place": one.place,
        "category": None,
        "counted_at": one.taken_at.astimezone(zone),
        "plants": one.plants,
        "low": one.low,
        "high": one.high,
        "expected": None,
        "status": one.status,
        "notes": one.why or WHY.get(one.status),
        "overlay_key": one.overlay_key,
    }


WHY = {
    "needs_location": N_("which place is it?"),
    "needs_config": N_("nothing is configured to grow there"),
    "needs_calibration": N_("no density is known for what grows there"),
}
NEXT = {
    "proposed": "demeter photos accept {0}",
    "needs_location": "demeter photos assign {0} --to PLACE",
    "needs_config": "demeter photos configure {0} --product SKU",
    "failed": "demeter photos retry {0}",
    "discarded": "demeter photos discard {0} --undo",
}


def _next(status: str, session: int) -> str:
    """The command that settles it."""
    return f" → {NEXT[status].format(session)}" if status in NEXT else ""


@app.command("accept")
def accept(
    ctx: typer.Context,
    numbers: Numbers,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Kept with the decision.")] = None,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Book what photos show, dated when they were taken. What moved since then stays as it is.

    Also takes back a rejection.

    Example: demeter photos accept 12 14
    """
    from db.deciding import accept as accept_count

    def work(connection: Connection, who: int, number: int) -> Decided:
        return accept_count(connection, number, who, reason)

    _decide(ctx, numbers, work, user, output_format)


@app.command("reject")
def reject(
    ctx: typer.Context,
    numbers: Numbers,
    reason: Reason,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Let the books forget what photos show; nothing is deleted.

    Example: demeter photos reject 12 --reason "shows the neighbouring bed"
    """
    from db.deciding import reject as reject_count

    def work(connection: Connection, who: int, number: int) -> Decided:
        return reject_count(connection, number, who, reason)

    _decide(ctx, numbers, work, user, output_format)


@app.command("adjust")
def adjust(
    ctx: typer.Context,
    number: Annotated[int, typer.Argument(help="Number of the photo.")],
    quantity: Annotated[
        list[str],
        typer.Option("--quantity", "-q", help="How many there were: 480, or for each container segment=480."),
    ],
    reason: Reason,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Correct a photo's count by hand, at the moment at which it was taken. What it said is kept.

    Example: demeter photos adjust 12 --quantity 480 --reason "two rows under the bench"
    """
    from db.deciding import adjust as adjust_count

    plants = _quantities(quantity)

    def work(connection: Connection, who: int, one: int) -> Decided:
        return adjust_count(connection, one, plants, who, reason)

    _decide(ctx, [number], work, user, output_format)


LARGEST = 1_000_000


def _quantities(given: list[str]) -> dict[str | None, int]:
    """By category of container, None for the only one. Raises BadParameter."""
    found: dict[str | None, int] = {}
    for text in given:
        category, _equals, number = text.rpartition("=")
        name = category.strip().lower() or None
        if not number.strip().isdecimal() or not 0 <= int(number) <= LARGEST:
            raise typer.BadParameter(
                _("{text!r} is no number of plants like 480").format(text=text), param_hint="--quantity"
            )
        if name in found or (found and None in (name, *found)):
            raise typer.BadParameter(_("say each container once: segment=480"), param_hint="--quantity")
        found[name] = int(number)
    return found


def _decide(
    ctx: typer.Context,
    numbers: list[int],
    work: Callable[[Connection, int, int], Decided],
    user: str | None,
    output_format: Format,
) -> None:
    """Decide about all the photos, or about none if one cannot be decided about."""
    from zoneinfo import ZoneInfo

    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS, actor, booking, open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:

        def decide() -> list[Decided]:
            who = actor(connection, settings, *DECIDERS, user=user)
            return [work(connection, who, number) for number in dict.fromkeys(numbers)]

        decided = booking(connection, ZoneInfo(settings.timezone), decide)
    rows: list[dict[str, Any]] = [asdict(one) for one in decided]
    columns = {
        "session": N_("photo"),
        "place": N_("place"),
        "plants": N_("counted"),
        "booked": N_("books changed by"),
    }
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE:
            shown = [row | {"booked": output.signed(row["booked"])} for row in rows]
            output.print_table(shown, columns, figures=("booked",))
