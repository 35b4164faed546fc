"""A photo of a run as a row: the stable JSON form of `demeter process`; see docs/json.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.words import Sentence

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.storage import Store


def session_dict(connection: Connection, store: Store, session_id: int) -> dict[str, Any]:
    """How a session stands. The keys are in the order in which they are told; the caller fills in `photo`,
    `sha256`, `known` and `booked`."""
    from db.corrections import step_of
    from db.deciding import why_waiting
    from db.sessions import session_row
    from demeter_cli.counted import bed, describe_findings

    session = session_row(connection, session_id)
    step = step_of(connection, session_id)
    waits = why_waiting(connection, session_id)
    low, high = session.low, session.high
    total = None if session.seen is None or session.hidden is None else session.seen + session.hidden
    main = session.main and bed(session.main)
    if step and main and total is not None and low is not None and high is not None:
        # What is booked is corrected, the bed; the photo's figures move with it.
        below, above = step.bounds(main["total"], main["low"], main["high"])
        low, high = low + below - main["low"], high + above - main["high"]
        total += step.plants
        main |= {"total": main["total"] + step.plants, "low": below, "high": above}
    return {
        "photo": None,
        "sha256": None,
        "place": session.place,
        "seen": session.seen,
        "hidden": session.hidden,
        "total": total,
        "low": low,
        "high": high,
        "seconds": session.seconds,
        "status": session.status,
        "known": False,
        "booked": None,
        "warnings": [*session.warnings, *_to_decide(session_id, waits)],
        "error": session.error,
        "overlay": session.overlay_key and store.where(session.overlay_key),
        "correction": step and step.plants,
        "audit": step and step.audit,
        "main": main,
        "dead": session.dead,
        "empty_pots": session.empty_pots,
        "findings": describe_findings(session.findings),
        "unlikeness": session.unlikeness and round(session.unlikeness, 3),
    }


def failure_dict(photo: str, reason: str) -> dict[str, Any]:
    """A file that could not even be read."""
    return {
        "photo": photo,
        **dict.fromkeys(("sha256", "place", "seen", "hidden", "total", "low", "high", "seconds")),
        "status": "failed",
        "known": False,
        "booked": None,
        "warnings": [],
        "error": reason,
        **dict.fromkeys(("overlay", "correction", "audit", "main", "dead", "empty_pots")),
        "findings": [],
        "unlikeness": None,
    }


def _to_decide(session_id: int, reasons: list[str]) -> list[str]:
    """That a person has to decide about a count, and how."""
    if not reasons:
        return []
    return [
        Sentence(
            "counted, not booked: {reasons}. Look at it, then `demeter photos accept {session}`",
            reasons="; ".join(reasons),
            session=session_id,
        )
    ]
