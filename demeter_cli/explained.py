"""What a stock figure rests on, as a tree: for JSON, and for people to read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from demeter_cli import output

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
    output.say(f"  {lot['plants']} plants{_range(lot['low'], lot['high'])}")
    if one["count"] is None:
        output.say("  never counted: the sum of all that moved")
    else:
        _print_count(one["count"], "  ")
    for moved in one["since"]:
        back = f", takes back {moved['reverses']}" if moved["reverses"] else ""
        why = f": {moved['reason']}" if moved["reason"] else ""
        output.say(
            f"  {moved['occurred_at']:%Y-%m-%d %H:%M}  {moved['type']} {moved['quantity']:+d}  "
            f"(movement {moved['id']}{back}, {moved['user']}{why})"
        )


def _print_count(count: Tree, indent: str) -> None:
    how = "by photo" if count["photo"] else "by hand"
    output.say(
        f"{indent}{count['counted_at']:%Y-%m-%d %H:%M}  counted {count['quantity']} {how}"
        f"{_range(count['low'], count['high'])}, count {count['id']}{_answers(count)}"
    )
    if count["notes"]:
        output.say(f"{indent}    {count['notes']}")
    if count["photo"]:
        for line in _photo_lines(count["photo"], count["quantity"]):
            output.say(f"{indent}    {line}", wrap=False)
    if count["replaces"]:
        output.say(f"{indent}  in place of")
        _print_count(count["replaces"], f"{indent}    ")


def _answers(count: Tree) -> str:
    if count["decided_by"]:
        return f", decided by {count['decided_by']} on {count['decided_at']:%Y-%m-%d}"
    return f", booked by {count['user']}"


def _photo_lines(photo: Tree, counted: int) -> Iterator[str]:
    taken = f", taken {photo['taken_at']:%Y-%m-%d %H:%M}" if photo["taken_at"] else ""
    yield f"photo     {photo['session']}: {photo['photo']}{taken}"
    step = f" {photo['correction']:+d} by {photo['audit']}" if photo["correction"] is not None else ""
    whole = photo["seen"] + photo["hidden"] + (photo["correction"] or 0)
    others = f" = {whole} in the photo, {counted} of them in this lot" if whole != counted else ""
    yield f"plants    {photo['seen']} seen + {photo['hidden']} hidden{step}{others}"
    for key in ("original", "overlay", "evidence"):
        if photo[key]:
            yield f"{key:<9} {photo[key]}"
    yield f"model     {photo['model']} (sha256 {photo['model_sha256'][:12]})"
    yield f"settings  {photo['config_hash'][:12]}"
    for warning in photo["warnings"]:
        yield f"warning   {warning}"


def _named(lot: Tree) -> str:
    parts = (lot["product"], lot["size"], lot["state"], lot["packaging"], lot["category"])
    return ", ".join(part for part in parts if part)


def _range(low: int | None, high: int | None) -> str:
    return "" if low is None or high is None or low == high else f" (90 % range {output.interval(low, high)})"
