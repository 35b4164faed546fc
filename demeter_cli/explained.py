"""What a stock figure rests on, as a tree: for JSON, and for people to read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from demeter_cli import output
from demeter_cli.language import N_, _, day, moment, n_, number, told
from demeter_cli.vocabulary import word

if TYPE_CHECKING:
    from db.evidence import Explained
    from pipeline.storage import Store

Tree = dict[str, Any]
_FILES = {"storage_key": "original", "overlay_key": "overlay", "evidence_key": "evidence"}


def tree(explained: Explained, store: Store, zone: ZoneInfo) -> Tree:
    """The stable JSON form; see docs/json.md. Keys become paths, times the site's."""
    lot = asdict(explained.lot) | {"moved": explained.lot.moved}
    whole = {
        "lot": lot,
        "count": explained.count and asdict(explained.count),
        "since": [asdict(one) for one in explained.since],
    }
    found: Tree = _rewritten(whole, store, zone)
    return found


def _rewritten(value: Any, store: Store, zone: ZoneInfo) -> Any:
    match value:
        case dict():
            return {
                _FILES.get(key, key): store.where(inner)
                if key in _FILES and inner
                else _rewritten(inner, store, zone)
                for key, inner in value.items()
            }
        case list() | tuple():
            return [_rewritten(inner, store, zone) for inner in value]
        case dt.datetime():
            return value.astimezone(zone)
        case _:
            return value


CSV_COLUMNS = ("place", "batch", "step", "id", "at", "plants", "by", "what")


def print_csv(trees: list[Tree]) -> None:
    """A row per step, from the figure down: stock, count, replaced count, movement."""
    output.print_csv([row for one in trees for row in _steps(one)], CSV_COLUMNS)


def _steps(one: Tree) -> Iterator[Tree]:
    lot = one["lot"]
    same = {"place": lot["place"], "batch": lot["batch"]}
    yield same | {"step": "stock", "plants": lot["plants"], "what": _named(lot)}
    count, step = one["count"], "count"
    while count is not None:
        photo = count["photo"]
        what = (photo["original"] or photo["photo"]) if photo else count["notes"]
        yield same | {
            "step": step,
            "id": count["id"],
            "at": count["counted_at"],
            "plants": count["quantity"],
            "by": count["decided_by"] or count["user"],
            "what": what,
        }
        count, step = count["replaces"], "replaced count"
    for moved in one["since"]:
        yield same | {
            "step": moved["type"],
            "id": moved["id"],
            "at": moved["occurred_at"],
            "plants": moved["quantity"],
            "by": moved["user"],
            "what": moved["reason"],
        }


def print_tree(one: Tree) -> None:
    """Paths stay in one piece, to be copied."""
    lot = one["lot"]
    output.say(f"{lot['place']}: {_named(lot)}")
    plants = n_("{n} plant", "{n} plants", lot["plants"]).format(n=number(lot["plants"]))
    output.say(f"  {plants}{_range(lot['low'], lot['high'])}")
    if one["count"] is None:
        output.say("  " + _("never counted: the sum of all that moved"))
    else:
        _print_count(one["count"], "  ")
    for moved in one["since"]:
        output.say(f"  {moment(moved['occurred_at'])}  {word(moved['type'])} {_moved(moved)}")


def _moved(moved: Tree) -> str:
    about = [_("movement {id}").format(id=moved["id"])]
    if moved["reverses"]:
        about.append(_("takes back {id}").format(id=moved["reverses"]))
    about.append(moved["user"])
    reason = f": {moved['reason']}" if moved["reason"] else ""
    return f"{output.signed(moved['quantity'])}  ({', '.join(about)}{reason})"


def _print_count(count: Tree, indent: str) -> None:
    how = _("counted {n} by photo") if count["photo"] else _("counted {n} by hand")
    counted = f"{how.format(n=number(count['quantity']))}{_range(count['low'], count['high'])}"
    named = _("count {id}").format(id=count["id"])
    output.say(f"{indent}{moment(count['counted_at'])}  {counted}, {named}, {_answers(count)}")
    if count["notes"]:
        output.say(f"{indent}    {count['notes']}")
    if count["photo"]:
        for heading, line in _photo_lines(count["photo"], count["quantity"]):
            output.say(f"{indent}    {_(heading):<{_WIDEST}} {line}", wrap=False)
    if count["replaces"]:
        output.say(f"{indent}  " + _("in place of"))
        _print_count(count["replaces"], f"{indent}    ")


def _answers(count: Tree) -> str:
    if count["decided_by"]:
        decided = _("decided by {user} on {day}")
        return decided.format(user=count["decided_by"], day=day(count["decided_at"]))
    return _("booked by {user}").format(user=count["user"])


# What is told of a photo, each with a heading.
_HEADINGS = {
    "photo": N_("photo"),
    "plants": N_("plants"),
    "original": N_("original"),
    "overlay": N_("overlay"),
    "evidence": N_("evidence"),
    "model": N_("model"),
    "settings": N_("settings"),
    "warning": N_("warning"),
}
_WIDEST = 9


def _photo_lines(photo: Tree, counted: int) -> Iterator[tuple[str, str]]:
    """Heading and text."""
    taken = _(", taken {moment}").format(moment=moment(photo["taken_at"])) if photo["taken_at"] else ""
    yield _HEADINGS["photo"], f"{photo['session']}: {photo['photo']}{taken}"
    seen = _("{seen} seen + {hidden} hidden")
    plants = seen.format(seen=number(photo["seen"]), hidden=number(photo["hidden"]))
    if photo["correction"] is not None:
        by = _(" {change} by {audit}")
        plants += by.format(change=output.signed(photo["correction"]), audit=photo["audit"])
    whole = photo["seen"] + photo["hidden"] + (photo["correction"] or 0)
    if whole != counted:
        part = _(" = {whole} in the photo, {n} of them in this lot")
        plants += part.format(whole=number(whole), n=number(counted))
    yield _HEADINGS["plants"], plants
    for key in ("original", "overlay", "evidence"):
        if photo[key]:
            yield _HEADINGS[key], photo[key]
    yield _HEADINGS["model"], f"{photo['model']} (sha256 {photo['model_sha256'][:12]})"
    yield _HEADINGS["settings"], photo["config_hash"][:12]
    for warning in photo["warnings"]:
        yield _HEADINGS["warning"], told(warning)


def _named(lot: Tree) -> str:
    parts = (lot["product"], lot["size"], lot["state"], lot["packaging"], word(lot["category"]))
    return ", ".join(part for part in parts if part)


def _range(low: int | None, high: int | None) -> str:
    if low is None or high is None or low == high:
        return ""
    return _(" (90 % range {range})").format(range=output.interval(low, high))
