"""What an evaluation says, as rows for machines and tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from demeter_cli import output

if TYPE_CHECKING:
    from pipeline.accuracy import CountError
    from pipeline.scores import GroupScore, Scored, Summary, ThingScore

Row = dict[str, Any]

SHARES = {"precision": "precision", "recall": "recall", "ap50": "AP50", "ap": "AP"}
COLUMNS = {
    "model": "model",
    "method": "method",
    "mape": "MAPE",
    "bias": "bias",
    "r2": "R²",
    "coverage": "covers",
    "width": "width",
    **SHARES,
    "seconds": "sec",
}
BED_COLUMNS = {
    "model": "model",
    "method": "method",
    "counted": "counted",
    "mae": "MAE",
    "mape": "MAPE",
    "bias": "bias",
    "coverage": "covers",
    "width": "width",
}
GROUP_COLUMNS = {
    "group": "",
    "truth": "plants",
    "counted": "counted",
    "bias": "bias",
    "mape": "MAPE",
    "precision": "precision",
    "recall": "recall",
    "ap50": "AP50",
}
THING_COLUMNS = {
    "thing": "",
    "truth": "true",
    "counted": "counted",
    "bias": "bias",
    "mae": "MAE",
    "precision": "precision",
    "recall": "recall",
}
FIGURES = ("mae", "mape", "bias", "r2", "coverage", "width", *SHARES, "seconds", "mean")
# What a narrow terminal does without, first to last.
DROPPABLE = ("r2", "ap", "seconds", "precision", "recall", "width", "coverage", "ap50")
BED_DROPPABLE = ("mae", "width", "coverage")
THING_DROPPABLE = ("mae", "precision", "recall")
GROUP_DROPPABLE = ("mape", "ap50", "precision", "recall", "counted")


def method_row(summary: Summary) -> Row:
    """Flat, as CSV wants it. Shares are 0–1; None is what cannot be told."""
    count = summary.count
    return {
        "method": summary.method,
        "model": summary.model,
        "photos": count.photos,
        "truth": count.truth,
        "counted": round(count.counted),
        "precision": _rounded(summary.boxes.precision),
        "recall": _rounded(summary.boxes.recall),
        "ap50": _rounded(summary.precision.ap50),
        "ap": _rounded(summary.precision.ap),
        **_count_figures(count),
        "coverage": _rounded(count.coverage),
        "width": _rounded(count.width),
        "ece": _rounded(summary.reliability.ece),
        "seconds": round(summary.seconds, 3),
    }


def method_document(summary: Summary) -> Row:
    """The row and what lies below it: the bed alone, dead plants, empty pots, scores, groups."""
    return method_row(summary) | {
        "main": _part(summary.main),
        "dead": _thing(summary.dead),
        "empty_pots": _thing(summary.empty_pots),
        "scores": [
            {
                "low": one.low,
                "high": one.high,
                "boxes": one.boxes,
                "score": round(one.score, 4),
                "precision": round(one.precision, 4),
            }
            for one in summary.reliability.bins
        ],
        "groups": [_group_row(group) for group in summary.groups],
    }


def photo_row(one: Scored) -> Row:
    low, high = one.answer.bounds or (None, None)
    score, main = one.score, one.answer.main
    return {
        "photo": one.photo.file.name,
        "method": one.method,
        "model": one.model,
        "truth": one.photo.total,
        "counted": one.answer.total,
        "low": low,
        "high": high,
        "main_truth": one.photo.main,
        "main_counted": None if main is None else main.total,
        "dead_truth": one.photo.dead,
        "dead": one.answer.dead,
        "empty_pots_truth": one.photo.empty_pots,
        "empty_pots": one.answer.empty_pots,
        "visible": score.asked,
        "hits": score.hits,
        "false": score.false,
        "precision": _rounded(score.precision),
        "recall": _rounded(score.recall),
        "ap50": _rounded(one.precision.ap50),
        "ap": _rounded(one.precision.ap),
        "seconds": round(one.answer.seconds, 3),
    }


def print_tables(summaries: Sequence[Summary]) -> None:
    """The methods side by side; then the first of them in detail."""
    first = summaries[0]
    several = len({summary.model for summary in summaries}) > 1
    columns = {key: heading for key, heading in COLUMNS.items() if several or key != "model"}
    output.print_table(
        [_shown(method_row(summary)) for summary in summaries],
        columns,
        title=f"{first.count.photos} photos, {first.count.truth} plants in the frames, hidden ones included",
        droppable=DROPPABLE,
        figures=FIGURES,
    )
    _print_beds(summaries, several)
    name = f"{first.method} with {first.model}" if several else first.method
    for by in dict.fromkeys(group.by for group in first.groups):
        rows = [_shown(_group_row(group)) for group in first.groups if group.by == by]
        columns = GROUP_COLUMNS | {"group": str(by)}
        output.say("")
        output.print_table(rows, columns, title=f"{name} by {by}", droppable=GROUP_DROPPABLE, figures=FIGURES)
    _print_scores(first, name)
    _print_things(first, name)


def _print_beds(summaries: Sequence[Summary], several: bool) -> None:
    known = [summary for summary in summaries if summary.main is not None]
    if not known:
        return
    columns = {key: heading for key, heading in BED_COLUMNS.items() if several or key != "model"}
    names = [{"model": summary.model, "method": summary.method} for summary in known]
    parts = [_part(summary.main) or {} for summary in known]
    output.say("")
    output.print_table(
        [_shown(name | part) for name, part in zip(names, parts, strict=True)],
        columns,
        title=f"The photographed beds alone, {parts[0]['truth']} plants",
        droppable=BED_DROPPABLE,
        figures=FIGURES,
    )


def _print_scores(summary: Summary, name: str) -> None:
    if summary.reliability.ece is None:
        return
    rows = [
        {
            "score": f"{one.low:.1f}–{one.high:.1f}",
            "boxes": one.boxes,
            "mean": f"{one.score:.2f}",
            "precision": f"{one.precision:.2f}",
        }
        for one in summary.reliability.bins
    ]
    columns = {"score": "score", "boxes": "boxes", "mean": "mean score", "precision": "are plants"}
    output.say("")
    output.print_table(rows, columns, title=f"{name}: scores", figures=FIGURES)
    output.say(f"A score is {summary.reliability.ece:.3f} away from the share of plants, on average.")


def _print_things(summary: Summary, name: str) -> None:
    parts = {"dead plants": _thing(summary.dead), "empty pots": _thing(summary.empty_pots)}
    rows = [_shown(row | {"thing": thing}) for thing, row in parts.items() if row is not None]
    if rows:
        output.say("")
        title = f"{name}: dead plants and empty pots"
        output.print_table(rows, THING_COLUMNS, title=title, droppable=THING_DROPPABLE, figures=FIGURES)


def _group_row(group: GroupScore) -> Row:
    return {
        "by": str(group.by),
        "group": group.name,
        "photos": group.count.photos,
        "truth": group.count.truth,
        "counted": round(group.count.counted, 1),
        "precision": _rounded(group.boxes.precision),
        "recall": _rounded(group.boxes.recall),
        "ap50": _rounded(group.precision.ap50),
        "ap": _rounded(group.precision.ap),
        **_count_figures(group.count),
    }


def _part(error: CountError | None) -> Row | None:
    if error is None:
        return None
    return {
        "truth": error.truth,
        "counted": round(error.counted),
        **_count_figures(error),
        "coverage": _rounded(error.coverage),
        "width": _rounded(error.width),
    }


def _thing(score: ThingScore | None) -> Row | None:
    if score is None:
        return None
    return {
        "truth": score.count.truth,
        "counted": round(score.count.counted),
        **_count_figures(score.count),
        "precision": _rounded(score.boxes.precision) if score.boxes else None,
        "recall": _rounded(score.boxes.recall) if score.boxes else None,
    }


def _count_figures(error: CountError) -> Row:
    return {
        "mae": _rounded(error.mae, 2),
        "mape": _rounded(error.mape),
        "bias": _rounded(error.bias),
        "r2": _rounded(error.r2),
    }


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def _shown(row: Row) -> Row:
    """The figures of a row as people read them; "–" for what cannot be told."""
    shares: Iterable[str] = ("mape", "coverage", "width", *SHARES)
    forms = dict.fromkeys(shares, ".1%") | {"bias": "+.1%", "r2": ".3f", "seconds": ".1f", "mae": ".1f"}
    shown = {key: _form(row[key], form) for key, form in forms.items() if key in row}
    return row | shown | ({"counted": round(row["counted"])} if "counted" in row else {})


def _form(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
