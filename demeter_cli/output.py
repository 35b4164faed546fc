"""Rows to a table, CSV or JSON. The only place that knows rich."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from textwrap import wrap as wrap_words
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from demeter_cli.language import _, day, moment, number, told
from demeter_cli.terminal import write_utf8
from demeter_cli.vocabulary import word
from pipeline.errors import StorageError
from pipeline.printable import harmless
from pipeline.words import Sentence

if TYPE_CHECKING:
    from pipeline.types import PhotoFailure

log = logging.getLogger("demeter")

Row = Mapping[str, Any]
_quiet = False

# Columns whose whole numbers are names, not amounts: they are typed in again, and never grouped.
IDENTIFIERS = frozenset(
    {"id", "movement", "count", "session", "line", "tile", "number", "row", "undoes", "undone_by", "import"}
)
# Columns that hold words of the closed lists, which people see in their language.
WORDS = frozenset({"status", "type", "verdict", "category", "container", "in", "role", "action", "kind"})

STATUS_STYLES = {
    "completed": "green",
    "warning": "yellow",
    "needs_location": "yellow",
    "needs_config": "yellow",
    "needs_calibration": "yellow",
    "refused": "red",
    "failed": "bold red",
}


# What a spreadsheet takes for the beginning of a formula, the wide forms of Asian keyboards included.
FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")


class _Console(Console):
    """rich ends the program with 1, our code for a bug, when `head` has read enough; main knows better."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def local(row: Row, zone: ZoneInfo) -> dict[str, Any]:
    """The row with its times as the clock at the site shows them, so that a day is the site's day."""
    return {
        key: value.astimezone(zone) if isinstance(value, dt.datetime) else value for key, value in row.items()
    }


def parting(rows: Sequence[Row], names: Mapping[str, str]) -> dict[str, str]:
    """Of these columns, those without which two lots of one place, product and pot would look the same."""
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault((row.get("place"), row.get("product"), row.get("packaging")), []).append(row)
    return {
        key: heading
        for key, heading in names.items()
        if any(len({row.get(key) for row in group}) > 1 for group in alike.values())
    }


def print_json(value: Any) -> None:
    """As `json_text` makes it."""
    write_text(json_text(value))


def json_text(value: Any) -> str:
    """Indented, UTF-8, dates in ISO 8601. Names with bytes that are not UTF-8 come as escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=_plain)
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def print_json_line(value: Any) -> None:
    """As `print_json`, on one line, for what comes bit by bit."""
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    _write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def save_json(path: Path, value: Any) -> None:
    """As `print_json` prints it, into a file. Raises StorageError."""
    from pipeline.errors import StorageError

    try:
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1, default=_plain) + "\n", "utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error


def print_csv(rows: Iterable[Row], columns: Sequence[str], *, heading: bool = True) -> None:
    """As `csv_text` makes it."""
    write_text(csv_text(rows, columns, heading=heading))


def csv_text(
    rows: Iterable[Row], columns: Sequence[str], *, heading: bool = True, separator: str = ","
) -> str:
    """Plain UTF-8 with a header. Cells that a spreadsheet would run as a formula are quoted with '."""
    lines = [
        *([columns] if heading else []),
        *([_cell(row.get(column)) for column in columns] for row in rows),
    ]
    text = "".join(separator.join(_quoted(cell, separator) for cell in cells) + "\n" for cells in lines)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_text(text: str) -> None:
    """To stdout, as it is."""
    _write(text)


def save_text(text: str, path: Path | None) -> None:
    """Write a text to a file, whole or not at all; without a path, to stdout."""
    if path is None:
        _write(text)
        return
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_text(text, encoding="utf-8", newline="")
        draft.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {(error.strerror or 'unknown error').lower()}."
        ) from error


def _quoted(cell: str, separator: str) -> str:
    """csv.writer leaves a lone carriage return bare, and readers take it for the end of a line."""
    return '"' + cell.replace('"', '""') + '"' if any(sign in cell for sign in f'{separator}"\r\n') else cell


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = str(_plain(value)) if isinstance(value, dt.datetime | dt.date | Decimal) else str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in FORMULA_STARTS else text


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _write(text: str) -> None:
    """A terminal gets nothing that it would obey; a file or a pipe gets every byte."""
    write_utf8(sys.stdout, harmless(text) if sys.stdout.isatty() else text)


def print_table(
    rows: Sequence[Row],
    columns: Mapping[str, str],
    *,
    title: str = "",
    total: Row | None = None,
    droppable: Sequence[str] = (),
    figures: Collection[str] = (),
) -> None:
    """`columns` maps keys to headings, which are translated. Numbers stand right, and so do `figures`, which
    are numbers already written out; `total` is set off at the foot.

    On a narrow terminal the `droppable` columns go first, one by one; then long texts wrap. Numbers never do.
    """
    console = _Console(highlight=False, emoji=False)
    columns = {key: _(heading) for key, heading in columns.items()}
    columns = _fitting(rows, columns, droppable, console.width)
    table = Table(title=title or None, title_justify="left", title_style="bold")
    table.show_footer = total is not None
    table.box = None
    table.padding = (0, 1)
    table.collapse_padding = True
    table.pad_edge = False
    for key, heading in columns.items():
        numeric = key in figures or any(isinstance(row.get(key), int | float | Decimal) for row in rows)
        footer = _shown(key, total.get(key)) if total is not None else ""
        table.add_column(
            heading,
            footer=footer,
            justify="right" if numeric else "left",
            no_wrap=numeric,
            overflow="fold",
            header_style="bold",
            footer_style="bold",
        )
    for row in rows:
        table.add_row(*(_shown(key, row.get(key)) for key in columns))
    console.print(table)


def _fitting(
    rows: Sequence[Row], columns: Mapping[str, str], droppable: Sequence[str], width: int
) -> dict[str, str]:
    """The columns that fit side by side into `width` characters."""
    kept = dict(columns)
    for key in droppable:
        widths = [max(len(kept[k]), *(len(_shown(k, row.get(k))) for row in rows), 0) for k in kept]
        if sum(widths) + len(widths) - 1 <= width:
            break
        kept.pop(key, None)
    return kept


def print_warnings(rows: Iterable[Row]) -> None:
    """Under a table: a line for each photo that needs a look. Failures of this run were told as they came."""
    for row in rows:
        if row.get("known") and row.get("error"):
            aside = _("{photo}: set aside, --retry tries again: {error}")
            say("  " + aside.format(photo=row["photo"], error=told(row["error"])))
        for sentence in row.get("warnings") or ():
            say(f"  {row['photo']}: {told(sentence)}")


def interval(low: int | None, high: int | None) -> str:
    """A range of plants."""
    return "" if low is None or high is None else f"{number(low)}–{number(high)}"


def signed(change: int | None) -> str:
    """A change of so many plants, with its sign."""
    if change is None:
        return ""
    return f"{'+' if change >= 0 else '−'}{number(abs(change))}"


def report_failure(failure: PhotoFailure) -> None:
    """One photo's failure, as it happens, on stderr. The sentence names the photo."""
    log.error("%s", failure.reason)


def report_problem(sentence: str) -> None:
    """What could not be done while the rest goes on, as it happens, on stderr."""
    log.error("%s", sentence)


def _shown(key: str, value: Any) -> Text:
    return Text(
        harmless(_written(key, value)), style=STATUS_STYLES.get(str(value), "") if key == "status" else ""
    )


def _written(key: str, value: Any) -> str:
    """A cell as people read it: numbers and days by the language, words of the closed lists translated."""
    written = "" if value is None else str(value)
    match value:
        case bool():
            written = _("yes") if value else _("no")
        case float():
            written = number(value, 1)
        case int() if key not in IDENTIFIERS:
            written = number(value)
        case dt.datetime():
            written = moment(value)
        case dt.date():
            written = day(value)
        case str() if key in WORDS:
            written = word(value)
        case Sentence():
            written = told(value)
    return written


def say(message: str, *, wrap: bool = True) -> None:
    """A line of results for people. `wrap=False` keeps a path in one piece, to be copied."""
    _print_line(_Console(highlight=False, emoji=False, markup=False), message, wrap)


def say_beside(heading: str, text: str) -> None:
    """A line of results with its heading; on a terminal, what goes on below stands under the text."""
    console = _Console(highlight=False, emoji=False, markup=False)
    width = console.width - len(heading) - 1 if console.is_terminal else len(text) + 1
    lines = wrap_words(text, max(width, 20), break_long_words=False, break_on_hyphens=False) or [""]
    for position, line in enumerate(lines):
        shown = heading if position == 0 else " " * len(heading)
        console.print(f"{shown} {line}", soft_wrap=True)


def be_quiet(quiet: bool) -> None:
    """From now on `tell` says nothing but to the log."""
    global _quiet  # noqa: PLW0603  one program, one stderr
    _quiet = quiet


def tell(message: str) -> None:
    """A line on stderr about what is going on; results are not meant."""
    if _quiet:
        log.info("%s", message)
        return
    _print_line(_Console(stderr=True, highlight=False, emoji=False, markup=False), message, wrap=True)


def _print_line(console: Console, message: str, wrap: bool) -> None:
    """On a terminal, lines break between words; in a file or pipe, they stay whole."""
    console.print(harmless(message), soft_wrap=not (wrap and console.is_terminal))


Advance = Callable[[int], None]  # called after each photo with the plants found in it


class _Rate(ProgressColumn):
    """Photos a minute, over the last half minute."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else _("{n}/min").format(n=number(task.speed * 60)))


@contextmanager
def photo_progress(total: int) -> Iterator[Advance]:
    """Photos, plants, rate and time left on a terminal; nothing under cron. It disappears when done.

    On a narrow terminal the figures stay, and the bar and the rate go.
    """
    console = _Console(stderr=True)
    plants = 0
    columns: list[ProgressColumn] = [
        MofNCompleteColumn(),
        TextColumn(_("photos")),
        TextColumn(_("{task.fields[plants]} plants")),
        TimeRemainingColumn(compact=True),
    ]
    if console.width >= 60:
        columns[:0] = [TextColumn("{task.description}"), BarColumn(bar_width=20)]
    if console.width >= 80:
        columns[-1:-1] = [_Rate()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(_("Counting"), total=total, plants="0")

        def advance(found: int) -> None:
            nonlocal plants
            plants += found
            progress.update(task, advance=1, plants=number(plants))

        yield advance
