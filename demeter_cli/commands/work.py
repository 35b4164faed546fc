"""demeter photos show, assign, configure, retry, discard: settle what photos wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from demeter_cli.commands.photos import FormatOption, Numbers
from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format, UserOption, WaitOption
from demeter_cli.language import _

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.ingest import Saved
    from db.places import Place
    from db.runs import Policy
    from demeter_cli.settings import Settings


def show(
    ctx: typer.Context,
    number: Annotated[int, typer.Argument(help="Number of the photo, as `demeter photos list` prints it.")],
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Show all that is kept of a photo: file, place and who says so, warnings, counts, and where its files
    are.

    Where the photo has a GPS position, the places nearest to it are named. They are candidates and no answer:
    a phone errs by more than a place is wide.

    Example: demeter photos show 12
    """
    from db.locating import nearest
    from db.same_day import company
    from db.worklist import details
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database, open_store
    from pipeline.types import Gps

    settings = load_settings(ctx.obj)
    store, zone = open_store(settings), ZoneInfo(settings.timezone)
    with open_database(settings) as connection:
        row = details(connection, number)
        near: list[tuple[str, float]] = []
        beside = company(connection, number, zone)
        if row["lat"] is not None:
            near = nearest(connection, Gps(row["lat"], row["lon"], None, row["h_error"]))
    for key in ("storage_key", "thumbnail_key", "overlay_key", "evidence_key"):
        row[key] = row[key] and store.where(row[key])
    row = output.local(row, zone) | {"nearest": [{"place": code, "metres": round(m, 1)} for code, m in near]}
    row |= {
        "same_day": beside.rule.value,
        "others_that_day": list(beside.others),
        "counts_for_the_day": beside.counts_for_all,
    }
    row["counts"] = [output.local(one, zone) for one in row["counts"]]
    match output_format:
        case Format.JSON:
            output.print_json(row)
        case Format.CSV:
            output.print_csv(
                [{"field": key, "value": str(value)} for key, value in row.items()], ("field", "value")
            )
        case Format.TABLE:
            _print_details(row)


def _print_details(row: dict[str, Any]) -> None:
    from demeter_cli import output

    counted = row["main_low"] is not None
    plants = (
        f"{row['main_seen'] + row['main_hidden']} ({row['main_low']}–{row['main_high']})" if counted else None
    )
    size = f"{row['width_px']}×{row['height_px']}" if row["width_px"] else None
    position = f"{row['lat']:.5f}, {row['lon']:.5f}" if row["lat"] is not None else None
    fields = {
        _("photo"): f"{row['session']}: {row['original_name']}",
        _("status"): row["status"],
        _("place"): row["place"] and f"{row['place']} ({row['located_by'] or '?'})",
        _("plants"): plants,
        _("taken"): row["captured_at"] and f"{row['captured_at']:%Y-%m-%d %H:%M}",
        _("camera"): row["camera"],
        _("pixels"): size,
        _("position"): position,
        _("nearest places"): ", ".join(f"{one['place']} {one['metres']:.0f} m" for one in row["nearest"][:3]),
        _("same place and day"): _same_day(row),
        _("attempts"): row["attempts"],
        _("model"): row["model"],
        _("discarded"): row["discard_reason"],
        _("error"): row["error_message"] or row["error_details"],
        _("original"): row["storage_key"],
        _("picture"): row["overlay_key"],
        _("evidence"): row["evidence_key"],
    }
    for name, value in fields.items():
        if value not in (None, ""):
            output.say(f"{name}: {value}", wrap=False)
    for sentence in row["warnings"]:
        output.say(f"  {sentence}")
    for one in row["counts"]:
        output.say(
            f"  {one['status']}: {one['quantity']} ({one['low']}–{one['high']}) {one['notes'] or ''}".rstrip()
        )


def _same_day(row: dict[str, Any]) -> str:
    """Which of a day's photos is in the books, and by which rule; nothing for one that is alone."""
    if not row["others_that_day"]:
        return ""
    others = ", ".join(map(str, row["others_that_day"]))
    if row["counts_for_the_day"] is None:
        return _("photos {others}; none is in the books").format(others=others)
    return _("photos {others}; photo {one} counts for the day ({rule})").format(
        others=others, one=row["counts_for_the_day"], rule=row["same_day"]
    )


def assign(
    ctx: typer.Context,
    numbers: Numbers,
    to: Annotated[str, typer.Option("--to", help="The place; with --from the last of a walk.")],
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="The first place of a walk: photos go to places one by one, by their times."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which photo goes where; change nothing.")
    ] = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Say which place photos show; what was counted is booked at once, without counting again.

    With --from and --to, photos taken while walking along a bed go to its places in order, the one taken
    first to the place named first. There must be as many photos as places.

    Example: demeter photos assign 12 --to N01-NORTE-C07
    """
    from db.models.vocabulary import LocatedBy
    from db.worklist import assign as assign_photo
    from db.worklist import find_session
    from demeter_cli.settings import load_settings

    settings = load_settings(ctx.obj)
    by = LocatedBy.ASSIGNED if start is None else LocatedBy.WALK

    def work(connection: Connection, how: tuple[int, Policy]) -> list[Saved]:
        plan = _walk(connection, list(dict.fromkeys(numbers)), start, to)
        return [assign_photo(connection, number, place, by, how) for number, place in plan]

    if not dry_run:
        _settle(settings, work, user, output_format)
        return
    from demeter_cli import output
    from demeter_cli.site import open_database

    with open_database(settings) as connection:
        plan = _walk(connection, list(dict.fromkeys(numbers)), start, to)
        named = [(find_session(connection, number), place) for number, place in plan]
    rows = [
        {"session": one.id, "photo": one.name, "taken": one.taken_at, "place": place.code}
        for one, place in named
    ]
    rows = [output.local(row, ZoneInfo(settings.timezone)) for row in rows]
    columns = {"session": _("photo"), "photo": _("file"), "taken": _("taken"), "place": _("place")}
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE:
            output.print_table(rows, columns, droppable=("photo", "taken"))


def _walk(connection: Connection, numbers: list[int], start: str | None, end: str) -> list[tuple[int, Place]]:
    """Each photo with its place. Raises NotFound, and Refused where photos and places do not fit."""
    from db.errors import Refused
    from db.places import PlaceIndex, between
    from db.worklist import find_session
    from pipeline.words import Sentence

    places = PlaceIndex.load(connection)
    if start is None:
        return [(number, places.named(end)) for number in numbers]
    along = between(connection, places.named(start), places.named(end))
    photos = sorted(
        (find_session(connection, number) for number in numbers), key=lambda one: (one.taken_at, one.id)
    )
    if len(photos) != len(along):
        raise Refused(
            Sentence(
                "{photos} photos do not fit {places} places from {start} to {end}: leave out what was taken"
                " twice, or assign the rest one by one",
                photos=len(photos),
                places=len(along),
                start=along[0].code,
                end=along[-1].code,
            )
        )
    return [(photo.id, place) for photo, place in zip(photos, along, strict=True)]


def configure(
    ctx: typer.Context,
    number: Annotated[int, typer.Argument(help="Number of a photo of the place.")],
    product: Annotated[str, typer.Option(help="SKU of what grows there: MAM-BOC-001.")],
    packaging: Annotated[
        str | None, typer.Option(help="SKU of the pot: MAC-R8-T (default: without a pot).")
    ] = None,
    state: Annotated[str, typer.Option(help="State of the plants.")] = "ADULT",
    size: Annotated[str | None, typer.Option(help="Size of the plants: S, M, L.")] = None,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Say what grew at a photo's place when it was taken; all photos that waited for it are booked.

    Example: demeter photos configure 12 --product MAM-BOC-001 --packaging MAC-R8-T
    """
    from db.codes import Codes
    from db.errors import Refused
    from db.place_config import Crop, set_crop
    from db.worklist import book_waiting, find_session
    from demeter_cli.settings import load_settings
    from pipeline.words import Sentence

    def work(connection: Connection, how: tuple[int, Policy]) -> list[Saved]:
        session = find_session(connection, number)
        if session.place is None:
            raise Refused(
                Sentence(
                    "photo {number} has no place yet; name it with `demeter photos assign`", number=number
                )
            )
        crop = Crop(product, packaging, state, size)
        set_crop(connection, Codes.load(connection), session.place.code, crop, session.taken_at)
        return book_waiting(connection, [session.place.id], how)

    _settle(load_settings(ctx.obj), work, user, output_format, deciding=True)


def retry(
    ctx: typer.Context,
    numbers: Numbers,
    workers: Annotated[int | None, typer.Option(min=0, help="Worker processes.")] = None,
    user: UserOption = None,
    wait: WaitOption = 0.0,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Count photos again that failed, from their stored originals.

    A photo that failed before it was stored is named: run `demeter process --retry` on its file.

    Example: demeter photos retry 12
    """
    from db.stored import uncounted
    from db.worklist import forgive
    from demeter_cli import output
    from demeter_cli.commands.process import Asked, How, process_photos
    from demeter_cli.settings import load_settings
    from demeter_cli.site import COUNTERS, actor, open_database
    from demeter_cli.watching import watching

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection, connection.begin():
        actor(connection, settings, *COUNTERS, user=user)
        images = {forgive(connection, number): number for number in dict.fromkeys(numbers)}
        stored = {one.image for one in uncounted(connection, images)}
    for image, number in images.items():
        if image not in stored:
            output.tell(
                _("Photo {number} was never stored; run `demeter process --retry` on its file.").format(
                    number=number
                )
            )
    if not stored:
        raise typer.Exit(ExitCode.PARTIAL)
    how = How(workers, dry_run=False, accept=False, wait=wait, quiet=False, output_format=output_format)
    with watching(settings, "process") as watch:
        raise typer.Exit(process_photos(settings, watch, Asked(images=tuple(stored)), how))


def discard(
    ctx: typer.Context,
    numbers: Numbers,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why; kept with the photo.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Put photos back on the list.")] = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Take photos off the list that shall never be booked. They are kept; --undo puts them back.

    Example: demeter photos discard 12 --reason "shows the path"
    """
    from db.ingest import Saved
    from db.models.vocabulary import SessionStatus
    from db.worklist import discard as discard_photo
    from db.worklist import restore
    from demeter_cli.settings import load_settings

    if not undo and not (reason or "").strip():
        raise typer.BadParameter(_("say why, it is kept with the photo"), param_hint="--reason")

    def work(connection: Connection, how: tuple[int, Policy]) -> list[Saved]:
        done = []
        for number in dict.fromkeys(numbers):
            if undo:
                done.append(restore(connection, number, how))
            else:
                discard_photo(connection, number, str(reason))
                done.append(Saved(number, SessionStatus.DISCARDED, None))
        return done

    _settle(load_settings(ctx.obj), work, user, output_format)


def _settle(
    settings: Settings, work: Any, user: str | None, output_format: Format, *, deciding: bool = False
) -> None:
    """Do all of it or nothing, and print how each photo stands now."""
    from db.worklist import find_session
    from demeter_cli import output
    from demeter_cli.site import COUNTERS, DECIDERS, actor, booking, open_database, policy_of

    with open_database(settings) as connection:

        def step() -> list[Saved]:
            who = actor(connection, settings, *(DECIDERS if deciding else COUNTERS), user=user)
            done: list[Saved] = work(connection, (who, policy_of(settings)))
            return done

        done = booking(connection, ZoneInfo(settings.timezone), step)
        sessions = [find_session(connection, one.session_id) for one in done]
        connection.rollback()
    rows = [
        {
            "session": one.id,
            "photo": one.name,
            "place": one.place.code if one.place else None,
            "status": one.status.value,
            "booked": saved.posted,
        }
        for one, saved in zip(sessions, done, strict=True)
    ]
    columns = {
        "session": _("photo"), "photo": _("file"), "place": _("place"), "status": _("status"),
        "booked": _("books changed by"),
    }  # fmt: skip
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE:
            shown = [row | {"booked": "" if row["booked"] is None else f"{row['booked']:+d}"} for row in rows]
            output.print_table(shown, columns, figures=("booked",), droppable=("photo",))
