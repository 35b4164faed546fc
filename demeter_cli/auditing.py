"""What `demeter model audit` does: draw tiles, write their sheet, take hand counts, show what follows."""

from __future__ import annotations

import datetime as dt
import secrets
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demeter_cli.language import _

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.audit_photos import Candidate, Wanted
    from db.audits import AuditRow, TileRow
    from db.corrections import CorrectionRow
    from demeter_cli.settings import Settings
    from pipeline.audit.ratio import Bias
    from pipeline.audit.records import Domain, Frame

# Of more photos than these so many are drawn first, each with the same chance; then tiles from them.
MOST_PHOTOS = 200


@dataclass(frozen=True, slots=True)
class Draw:
    """What the command line asks of a new audit."""

    wanted: Wanted
    tiles: int
    seed: int | None


def start(
    connection: Connection, settings: Settings, draw: Draw, folder: Path | None
) -> tuple[AuditRow, Path]:
    """Draw an audit and write its sheet; neither is kept without the other. Returns it and the page."""
    import numpy as np

    from db.audit_photos import candidates
    from db.audits import AuditRow, save_audit
    from db.models.vocabulary import AuditStatus
    from demeter_cli import output
    from demeter_cli.site import COUNTERS, actor
    from pipeline.audit.sample import draw_tiles

    now = dt.datetime.now(dt.UTC)
    seed = secrets.randbits(32) if draw.seed is None else draw.seed
    with connection.begin():
        user = actor(connection, settings, *COUNTERS)
        photos = _readable(candidates(connection, draw.wanted), settings)
        if len(photos) > MOST_PHOTOS:
            kept = np.random.default_rng(seed).choice(len(photos), MOST_PHOTOS, replace=False)
            output.tell(
                _("{most_photos} of {n} photos were drawn, and the tiles from these.").format(
                    most_photos=MOST_PHOTOS, n=len(photos)
                )
            )
            photos = [photos[i] for i in sorted(kept)]
        _require_enough_tiles(photos, draw.tiles)
        population = _population(connection, photos)
        tiles = draw_tiles(population, draw.tiles, seed)
        drawn = AuditRow(
            id=0,
            code="",
            status=AuditStatus.DRAWN,
            created_at=now,
            expires_at=now + dt.timedelta(days=settings.audit_days),
            recorded=False,
            seed=seed,
            photos=len(photos),
            frames=len(population),
            tiles=len(tiles),
            counted=0,
            model=photos[0].model,
            filters={key: str(value) for key, value in asdict(draw.wanted).items() if value is not None},
        )
        audit = save_audit(connection, drawn, tiles, user, settings.today(now))
        page = write_sheet(connection, settings, audit, folder or Path(audit.code))
    return audit, page


def _readable(photos: list[Candidate], settings: Settings) -> list[Candidate]:
    """Those whose originals are where they were stored. Raises NotFound if none is."""
    from db.errors import NotFound
    from demeter_cli import output
    from demeter_cli.site import open_store

    store = open_store(settings)
    there = [photo for photo in photos if store.stat(photo.original_key) is not None]
    if not there:
        raise NotFound(f"none of the {len(photos)} originals is in {store.name}: is it another data_dir?")
    if len(there) < len(photos):
        output.tell(
            _("{missing} of {n} originals are missing; they take no part.").format(
                missing=len(photos) - len(there), n=len(photos)
            )
        )
    return there


def _require_enough_tiles(photos: list[Candidate], tiles: int) -> None:
    """Raises AuditRefused rather than let a person count for nothing."""
    from db.errors import AuditRefused
    from pipeline.audit.ratio import LEAST_TILES

    of_domain = Counter((photo.sku, photo.domain.season) for photo in photos)
    if tiles >= LEAST_TILES * len(of_domain):
        return
    if len(of_domain) == 1:
        raise AuditRefused(f"{tiles} tiles are too few: a correction needs at least {LEAST_TILES}")
    shown = ", ".join(f"{sku} in {season.months}" for (sku, season), _ in of_domain.most_common(4))
    raise AuditRefused(
        f"{tiles} tiles are too few for {len(of_domain)} products and seasons, of which each needs"
        f" {LEAST_TILES}: choose with --product, --since or --place ({shown}"
        f"{', …' if len(of_domain) > 4 else ''}), or ask for --tiles {LEAST_TILES * len(of_domain)}"
    )


def _population(connection: Connection, photos: list[Candidate]) -> list[tuple[Domain, Frame]]:
    """All frames of the photos. Raises NotFound where they show no bed."""
    from db.audit_photos import counted_photo
    from db.errors import NotFound
    from pipeline.audit.frames import cut_frames

    population = [
        (photo.domain, frame) for photo in photos for frame in cut_frames(counted_photo(connection, photo))
    ]
    if not population:
        raise NotFound("no plant was counted in these photos, so there is nothing to count after")
    return population


def write_sheet(connection: Connection, settings: Settings, audit: AuditRow, folder: Path) -> Path:
    """The files of an audit's sheet in a folder, in the language in use. Returns the path of the page."""
    from db.audits import tiles_of
    from demeter_cli.language import day
    from demeter_cli.sheet_words import sheet_words
    from demeter_cli.site import open_store
    from pipeline.audit.sheet import Sheet, SheetTile, write_sheet
    from pipeline.storage import as_file

    rows, store = tiles_of(connection, audit), open_store(settings)
    with ExitStack() as held:
        photos = {key: held.enter_context(as_file(store, key)) for key in {row.original_key for row in rows}}
        tiles = tuple(
            SheetTile(
                number=row.number,
                place=row.place,
                product=row.product,
                day=day(row.taken.date()),
                photo=photos[row.original_key],
                frame=row.count.tile.frame,
            )
            for row in rows
        )
        sheet = Sheet(audit.code, sheet_words(settings.today(audit.expires_at)), tiles)
        return write_sheet(folder, sheet, int(settings.max_megapixels * 1e6))


def ask(connection: Connection, audit: AuditRow, rows: list[TileRow], by: str) -> None:
    """Ask for the count of each tile that has none. Each answer is saved at once, so that Ctrl-C costs
    nothing; what is left blank is asked for again the next time."""
    import typer

    from db.audits import save_hand_counts
    from demeter_cli import output
    from pipeline.audit.hand_counts import most_plausible, parse_plants

    for row in rows:
        if row.count.is_counted:
            continue
        most = most_plausible(row.count.tile.frame.expected)
        while True:
            try:
                text = typer.prompt(
                    f"Tile {row.number} ({row.place})", default="", show_default=False, err=True
                )
            except typer.Abort:  # Typer's word for Ctrl-C and the end of input
                raise KeyboardInterrupt from None
            if not text.strip():
                break
            try:
                plants = parse_plants(text, most)
            except ValueError as error:
                output.tell(f"{error}.")
                continue
            with connection.begin():
                save_hand_counts(connection, audit, [(row.number, plants, None)], by)
            break


def record_file(
    connection: Connection, audit: AuditRow, rows: list[TileRow], given: tuple[bytes, str]
) -> None:
    """Save the counts of a file, all or none of them; `given` is its content and who counted.

    Raises AuditRefused after a sentence for each line that cannot be meant.
    """
    from db.audits import close_sheet, save_hand_counts
    from db.errors import AuditRefused
    from demeter_cli import output
    from pipeline.audit.hand_counts import most_plausible, read_answers

    data, by = given
    most = {row.number: most_plausible(row.count.tile.frame.expected) for row in rows}
    answers = read_answers(data, audit.code, most)
    for line, sentence in answers.complaints:
        output.tell(_("line {line}: {sentence}").format(line=line, sentence=sentence))
    if answers.complaints:
        bad = "one line" if len(answers.complaints) == 1 else f"{len(answers.complaints)} lines"
        raise AuditRefused(
            f"{audit.code}: {bad} cannot be meant; correct them and record the file again. Nothing was saved"
        )
    with connection.begin():
        save_hand_counts(connection, audit, ((a.tile, a.plants, a.remark) for a in answers.read), by)
        try:
            close_sheet(connection, audit)
        except AuditRefused as error:
            raise AuditRefused(f"{error}; nothing was saved") from None


def bias_rows(biases: list[Bias], tiles: list[TileRow]) -> list[dict[str, Any]]:
    """What hand counts say, per product and season: the stable JSON form."""
    names = {row.count.tile.stratum.domain: (row.sku, row.product) for row in tiles}
    return [
        {
            "product": names[bias.domain][1],
            "sku": names[bias.domain][0],
            "season": bias.domain.season.value,
            "tiles": bias.tiles,
            "photos": bias.photos,
            "machine": round(bias.machine, 1),
            "hand": bias.hand,
            "factor": _finite(bias.factor),
            "standard_error": _finite(bias.standard_error),
            "low": _finite(bias.low),
            "high": _finite(bias.high),
            "refusal": bias.refusal,
            "doubt": None if bias.refusal else bias.doubt,
        }
        for bias in biases
    ]


def _finite(number: float) -> float | None:
    """JSON has neither NaN nor infinity."""
    return round(number, 5) if abs(number) < float("inf") else None


def audit_dict(audit: AuditRow, now: dt.datetime) -> dict[str, Any]:
    """The stable JSON form of an audit."""
    return {
        "audit": audit.code,
        "status": "expired" if audit.expired(now) and audit.status != "withdrawn" else audit.status.value,
        "created_at": audit.created_at,
        "expires_at": audit.expires_at,
        "photos": audit.photos,
        "frames": audit.frames,
        "tiles": audit.tiles,
        "counted": audit.counted,
        "filters": audit.filters,
        "seed": audit.seed,
        "model": audit.model[0],
    }


def tile_dict(row: TileRow, *, counted: bool) -> dict[str, Any]:
    """A tile; with what the machine counted on it only once the hand counts are in."""
    frame = row.count.tile.frame
    return {
        "tile": row.number,
        "place": row.place,
        "taken_at": row.taken,
        "frame": [frame.x1, frame.y1, frame.x2, frame.y2],
        "hand": row.count.plants,
        "machine": round(frame.expected, 1) if counted else None,
        "probability": row.count.tile.probability if counted else None,
        "counted_by": row.counted_by,
        "remark": row.remark,
    }


def correction_dict(row: CorrectionRow) -> dict[str, Any]:
    """The stable JSON form of a correction."""
    return {**asdict(row), "season": row.season.value}
