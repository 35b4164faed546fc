"""Corrections of counts, drawn from audits: applied, withdrawn, expired, and added to what is booked.

A correction acts when a count is booked, as one more recorded step: what was seen and estimated stays as it
is, and what the factor adds stands beside it in `session_corrections`. Counts booked before stay untouched.

An audit measured one way of counting. A count that `demeter estimate` restated comes from another one, so
from then on no correction holds for it; what was once added to it stays on record beside the restatement.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exists, func, insert, select, update

from db.audit_photos import TAKEN
from db.audits import AuditRow
from db.errors import AuditRefused
from db.holding import HOLDS
from db.models.audits import Audit, Correction, SessionCorrection
from db.models.catalog import Product
from db.models.photos import Image, PhotoSession
from db.models.restatements import Restatement
from db.models.vocabulary import AuditStatus
from db.stock import Tally
from pipeline.audit.ratio import Bias, Corrected, correct
from pipeline.audit.records import Season, season_of
from pipeline.words import Sentence


@dataclass(frozen=True, slots=True)
class CorrectionRow:
    """A correction as people see it."""

    id: int
    audit: str
    sku: str
    product: str
    season: Season
    factor: float
    standard_error: float
    low: float
    high: float
    tiles: int
    valid_from: dt.datetime
    valid_until: dt.datetime
    withdrawn_at: dt.datetime | None


def apply_audit(
    connection: Connection, audit: AuditRow, chosen: Sequence[tuple[Bias, bool]], user: int
) -> list[CorrectionRow]:
    """Make corrections of the biases, each with whether it was forced; they hold from now until the audit
    expires. A correction of the same product, season and model that stands is withdrawn. In the caller's
    transaction. Raises AuditRefused where someone else was faster."""
    claimed = connection.execute(
        update(Audit)
        .where(Audit.id == audit.id, Audit.status == AuditStatus.RECORDED.value)
        .values(status=AuditStatus.APPLIED.value, applied_at=func.now())
    )
    if claimed.rowcount != 1:
        raise AuditRefused(
            Sentence("{code} has been applied or withdrawn by somebody else in the meantime", code=audit.code)
        )
    for bias, forced in chosen:
        key = {
            "product_id": bias.domain.product_id,
            "season": bias.domain.season.value,
            "model_sha256": audit.model[1],
            "config_hash": audit.model[2],
        }
        connection.execute(
            update(Correction)
            .where(Correction.withdrawn_at.is_(None))
            .filter_by(**key)
            .values(withdrawn_at=func.now())
        )
        connection.execute(
            insert(Correction).values(
                **key,
                audit_id=audit.id,
                factor=bias.factor,
                standard_error=bias.standard_error,
                low=bias.low,
                high=bias.high,
                tiles=bias.tiles,
                forced=forced,
                valid_until=audit.expires_at,
                applied_by_user_id=user,
            )
        )
    return corrections(connection, audit.code)


def withdraw(connection: Connection, audit: AuditRow) -> int:
    """End the audit and what holds of its corrections; returns how many. Counts that they were added to stay.

    In the caller's transaction. Raises AuditRefused where it is withdrawn already.
    """
    ended = connection.execute(
        update(Audit)
        .where(Audit.id == audit.id, Audit.status != AuditStatus.WITHDRAWN.value)
        .values(status=AuditStatus.WITHDRAWN.value, withdrawn_at=func.now())
    )
    if ended.rowcount != 1:
        raise AuditRefused(Sentence("{code} is withdrawn already", code=audit.code))
    return connection.execute(
        update(Correction)
        .where(Correction.audit_id == audit.id, Correction.withdrawn_at.is_(None))
        .values(withdrawn_at=func.now())
    ).rowcount


def corrections(connection: Connection, audit: str | None = None) -> list[CorrectionRow]:
    """All corrections, newest first, or those of one audit."""
    table = Correction
    query = (
        select(
            *(table.id, Audit.code.label("audit"), Product.sku, Product.common_name.label("product")),
            *(table.season, table.factor, table.standard_error, table.low, table.high, table.tiles),
            *(table.valid_from, table.valid_until, table.withdrawn_at),
        )
        .join(Audit, Audit.id == table.audit_id)
        .join(Product, Product.id == table.product_id)
        .order_by(table.id.desc())
    )
    if audit is not None:
        query = query.where(Audit.code == audit)
    rows = [dict(row._mapping) for row in connection.execute(query)]
    return [CorrectionRow(**row | {"season": Season(row["season"])}) for row in rows]


def expired(connection: Connection, skus: Collection[str], now: dt.datetime) -> list[CorrectionRow]:
    """Corrections of these products that nobody replaced or withdrew, and that no longer act."""
    return [
        row
        for row in corrections(connection)
        if row.sku in skus and row.withdrawn_at is None and row.valid_until <= now
    ]


def corrected(
    connection: Connection, session_id: int, product_id: int, tallies: Mapping[str, Tally]
) -> dict[str, Tally]:
    """What to book for a session's tallies of a product, per category of bin, and the record of what was
    added to them. The same tallies where no correction holds. In the caller's transaction."""
    held = _in_force(connection, session_id, product_id)
    if held is None:
        return dict(tallies)
    correction, factor, error = held
    booked: dict[str, Tally] = {}
    for category, tally in tallies.items():
        added = correct(tally.quantity, tally.low, tally.high, factor, error)
        booked[category] = Tally(tally.quantity + added.plants, added.low, added.high)
        values = {"session_id": session_id, "category": category, "plants": added.plants}
        connection.execute(insert(SessionCorrection).values(**values, correction_id=correction))
    return booked


def _in_force(connection: Connection, session_id: int, product_id: int) -> tuple[int, float, float] | None:
    """Id, factor and standard error of the correction for this product, the season in which the session's
    photo was taken, and the model and configuration that counted it."""
    photo = connection.execute(
        select(TAKEN.label("taken"), PhotoSession.model_sha256, PhotoSession.config_hash)
        .join(Image, Image.id == PhotoSession.image_id)
        .where(PhotoSession.id == session_id)
    ).one()
    row = connection.execute(
        select(Correction.id, Correction.factor, Correction.standard_error).where(
            Correction.product_id == product_id,
            Correction.season == season_of(photo.taken).value,
            Correction.model_sha256 == photo.model_sha256,
            Correction.config_hash == photo.config_hash,
            Correction.withdrawn_at.is_(None),
            Correction.valid_from <= func.now(),
            Correction.valid_until > func.now(),
            ~exists().where(Restatement.session_id == session_id),
        )
    ).one_or_none()
    return None if row is None else (row.id, row.factor, row.standard_error)


@dataclass(frozen=True, slots=True)
class SessionStep:
    """The correction of a session's count, all categories together."""

    audit: str
    factor: float
    standard_error: float
    plants: int

    def bounds(self, total: int, low: int, high: int) -> tuple[int, int]:
        """Of the corrected total, given the uncorrected one."""
        result: Corrected = correct(total, low, high, self.factor, self.standard_error)
        low, high = result.low, result.high
        # The categories were rounded one by one.
        return min(low, total + self.plants), max(high, total + self.plants)


def step_of(connection: Connection, session_id: int) -> SessionStep | None:
    """What was added to a session's count; None where nothing was."""
    row = connection.execute(
        select(
            Audit.code,
            Correction.factor,
            Correction.standard_error,
            func.sum(SessionCorrection.plants).label("plants"),
        )
        .join(Correction, Correction.id == SessionCorrection.correction_id)
        .join(Audit, Audit.id == Correction.audit_id)
        .where(SessionCorrection.session_id == session_id, HOLDS)
        .group_by(Audit.code, Correction.factor, Correction.standard_error)
    ).one_or_none()
    return None if row is None else SessionStep(row.code, row.factor, row.standard_error, int(row.plants))
