"""From what a person says, in codes, to entries for the books.

What is not said is taken from the place: what leaves it, from the one lot that stands there; what comes, from
what is configured to grow there. Where that leaves two answers, the person is asked, never guessed for.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Connection

from db.batches import Lot, Spot
from db.codes import Codes, container
from db.crops import Crop, crop_at, crops_at
from db.errors import ConfigMismatch, LedgerRefused, PackagingMismatch, ProductMismatch, Unclear
from db.models.vocabulary import BinCategory, MovementType
from db.movements import Entry
from db.order_words import MISSING, OTHER_POT, OTHER_PRODUCT, POSITIVE, SIGNED, UNCONFIGURED
from db.shelves import Standing, shelves_at
from pipeline.words import Sentence, joined, marked

LARGEST = 1_000_000  # plants in one movement
LARGEST_FIRST_COUNT = 100_000
_TRAYS = (BinCategory.PLUG, BinCategory.SEEDLING_TRAY)


class Kind(StrEnum):
    """What people do, in the words of the commands."""

    SOW = "sow"
    PLANT = "plant"
    TRANSPLANT = "transplant"
    MOVE = "move"
    DEATH = "death"
    SALE = "sale"
    ADJUST = "adjust"
    INIT = "init"


@dataclass(frozen=True, slots=True, kw_only=True)
class LotWords:
    """A lot as a person writes it; None is not said. The pot `none` is no pot."""

    product: str | None = None
    state: str | None = None
    size: str | None = None
    packaging: str | None = None
    container: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person wants booked. `becomes` is what transplanted plants are afterwards, where that differs.

    Of `quantity` that leaves a place, `deaths` die on the way. The rest, `from_per_pot` in a pot, goes into
    pots of `per_pot`; where neither is said, pots stay as they are.
    """

    kind: Kind
    place: str
    quantity: int
    moment: dt.datetime
    lot: LotWords = LotWords()
    to: str | None = None
    becomes: LotWords = LotWords()
    per_pot: int = 1
    from_per_pot: int = 1
    deaths: int = 0
    reason: str | None = None
    price: Decimal | None = None
    override: bool = False  # though something else, or nothing, is configured there
    replace: bool = False  # though the books hold something there: the difference is an adjustment
    key: str | None = None  # books it once, however often it is ordered


@dataclass(slots=True)
class Desk:
    """Takes orders one after the other, and knows what each leaves behind for the next."""

    codes: Codes
    crops: Mapping[int, list[Crop]]
    shelves: dict[int, dict[Spot, Standing]]
    user_id: int
    notes: list[str] = field(default_factory=list)  # sentences about what was booked nevertheless

    @staticmethod
    def open(connection: Connection, codes: Codes, places: Iterable[str], user_id: int) -> Desk:
        """A desk for orders about these places; of unknown ones it will say so when they are ordered."""
        known = {codes.id_of("place", place) for place in places}
        ids = {place for place in known if place is not None}
        return Desk(codes, crops_at(connection, ids), shelves_at(connection, ids), user_id)

    def entries(self, order: Order) -> list[Entry]:
        """What to book. Raises NotFound, Unclear, and a LedgerRefused."""
        _require_sound(order)
        place = self.codes.find("place", order.place)
        made = _MAKERS[order.kind](self, order, place)
        if order.key:
            made = [
                replace(entry, idempotency_key=f"{order.key}{suffix}")
                for entry, suffix in zip(made, ("", ":in", ":dead"), strict=False)
            ]
        return made

    def take(self, order: Order, place: int) -> Entry:
        """What leaves a place: of the one lot there that fits what was said."""
        spot = self._standing(order, place)
        if order.kind is Kind.SALE and not self.shelves[place][spot].sellable:
            lot = self._told(spot)
            raise LedgerRefused(
                Sentence("{lot} is never sold as it is: transplant the plants first", lot=lot)
            )
        movement = {Kind.DEATH: MovementType.MUERTE, Kind.SALE: MovementType.VENTAS}.get(order.kind)
        return self._entry(order, movement or MovementType.TRANSPLANTE, spot, -order.quantity)

    def bring(self, order: Order, place: int) -> Entry:
        """What comes to a place."""
        crop = crop_at(self.crops[place], order.moment)
        if order.kind is Kind.SOW:
            return self._entry(order, MovementType.SEMBRAR, self._sown(order, place, crop), order.quantity)
        spot = self._planted(order, place, crop)
        if crop is None or spot.lot.product_id != crop.lot.product_id:
            grows = "nothing" if crop is None else self.codes.text("product", crop.lot.product_id)
            comes, where = self.codes.text("product", spot.lot.product_id), order.place.upper()
            note = marked("{place} is configured for {grows}, not for {comes}")
            self.notes.append(Sentence(note, place=where, grows=grows, comes=comes))
        return self._entry(order, MovementType.PLANTAR, spot, order.quantity)

    def first_count(self, order: Order, place: int) -> list[Entry]:
        crop = crop_at(self.crops[place], order.moment)
        if not order.override:
            self._require_configured(order, crop)
        spot = self._planted(order, place, crop)
        there = self.shelves[place].get(spot)
        if order.replace and there is not None and there.plants:
            difference = order.quantity - there.plants
            reason = order.reason or f"set to {order.quantity} by hand"
            changed = replace(order, reason=reason)
            return [self._entry(changed, MovementType.AJUSTE, spot, difference)] if difference else []
        return [self._entry(order, MovementType.MANUAL_INIT, spot, order.quantity)]

    def adjust(self, order: Order, place: int) -> Entry:
        if order.quantity < 0 or self._fitting(order, place):
            spot = self._standing(order, place)
        else:
            spot = self._planted(order, place, crop_at(self.crops[place], order.moment))
        return self._entry(order, MovementType.AJUSTE, spot, order.quantity)

    def transfer(self, order: Order, place: int) -> list[Entry]:
        """Two legs, and what died on the way."""
        source = self._standing(order, place)
        target = self._target(order, source)
        if target == source:
            raise LedgerRefused(
                Sentence(
                    "nothing would change: say where the plants go, or which pot, size or state they"
                    " have then"
                )
            )
        arriving = (order.quantity - order.deaths) * order.from_per_pot
        if arriving == 0:
            raise LedgerRefused(Sentence("all {n} die on the way: book them as dead", n=order.quantity))
        if arriving % order.per_pot:
            over = arriving % order.per_pot
            raise LedgerRefused(
                Sentence(
                    "{n} plants do not fill pots of {per_pot}: {over} left over",
                    n=arriving,
                    per_pot=order.per_pot,
                    over=over,
                )
            )
        transfer = uuid.uuid4()
        out = self._entry(order, MovementType.TRANSPLANTE, source, order.deaths - order.quantity)
        back = self._entry(order, MovementType.TRANSPLANTE, target, arriving // order.per_pot)
        legs = [
            replace(out, transfer_id=transfer, plants_per_pot=order.from_per_pot),
            replace(back, transfer_id=transfer, plants_per_pot=order.per_pot),
        ]
        if order.deaths:
            dead = self._entry(order, MovementType.MUERTE, source, -order.deaths)
            legs.append(replace(dead, transfer_id=transfer, reason=order.reason or "died on the way"))
        return legs

    def _entry(self, order: Order, movement: MovementType, spot: Spot, quantity: int) -> Entry:
        shelf = self.shelves.setdefault(spot.location_id, {})
        there = shelf.get(spot, Standing(None, 0, spot.category not in _TRAYS))
        shelf[spot] = replace(there, plants=there.plants + quantity)
        return Entry(
            movement_type=movement,
            where=spot if there.batch_id is None else there.batch_id,
            quantity=quantity,
            occurred_at=order.moment,
            user_id=self.user_id,
            reason=order.reason,
            unit_price=order.price,
        )

    def _fitting(self, order: Order, place: int) -> list[Spot]:
        """The lots there that fit what was said: those with plants, or else those that once had some."""
        lot = order.lot
        wanted: dict[str, int | str | None] = {}
        for name, kind in (("product_id", "product"), ("state_id", "state"), ("size_id", "size")):
            if said := getattr(lot, kind):
                wanted[name] = self.codes.find(kind, said)
        if lot.packaging:
            wanted["packaging_id"] = self.codes.pot(lot.packaging)
        category = container(lot.container) if lot.container else None
        found = [
            (spot, standing.plants)
            for spot, standing in self.shelves[place].items()
            if category in (None, spot.category)
            and all(getattr(spot.lot, name) == value for name, value in wanted.items())
        ]
        return [spot for spot, plants in found if plants > 0] or [spot for spot, _ in found]

    def _standing(self, order: Order, place: int) -> Spot:
        found = self._fitting(order, place)
        used_up = not any(self.shelves[place][spot].plants > 0 for spot in found)
        if len(found) > 1 and used_up and (crop := crop_at(self.crops[place], order.moment)):
            found = [spot for spot in found if spot.lot == crop.lot] or found
        if len(found) == 1:
            return found[0]
        code = self.codes.text("place", place)
        if found:
            lots = self._named(found) if used_up else self._listed(place)
            told = {"code": code, "by": self._parting(found), "lots": lots}
            if used_up:
                raise Unclear(
                    Sentence("{code} held several lots; say which, by {by}: it held {lots}", **told)
                )
            raise Unclear(Sentence("{code} holds several lots; say which, by {by}: it holds {lots}", **told))
        if any(standing.plants for standing in self.shelves[place].values()):
            lots = self._listed(place)
            raise LedgerRefused(
                Sentence("{code} holds no such plants; it holds {lots}", code=code, lots=lots)
            )
        raise LedgerRefused(Sentence("{code} holds no plants", code=code))

    def _parting(self, spots: list[Spot]) -> str:
        """That by which the lots differ."""
        parts: dict[str, set[object]] = {
            "product": {spot.lot.product_id for spot in spots},
            "state": {spot.lot.state_id for spot in spots},
            "size": {spot.lot.size_id for spot in spots},
            "packaging": {spot.lot.packaging_id for spot in spots},
            "container": {spot.category for spot in spots},
        }
        return " or ".join(name for name, values in parts.items() if len(values) > 1)

    def _listed(self, place: int) -> str:
        return joined(
            Sentence("{n} of {lot}", n=standing.plants, lot=self._told(spot))
            for spot, standing in self.shelves[place].items()
            if standing.plants
        )

    def _named(self, spots: list[Spot]) -> str:
        return joined(map(self._told, spots))

    def _told(self, spot: Spot) -> str:
        text, lot = self.codes.text, spot.lot
        return Sentence(
            "{product} ({state}, size {size}, pot {pot}, {category})",
            product=text("product", lot.product_id),
            state=text("state", lot.state_id),
            size=text("size", lot.size_id),
            pot=text("pot", lot.packaging_id),
            category=spot.category,
        )

    def _sown(self, order: Order, place: int, crop: Crop | None) -> Spot:
        """Seeds lie in trays, without pots, and are the youngest state unless one is said."""
        words = order.lot
        product = self._product(order, crop)
        grown = crop.lot.state_id if crop and crop.lot.product_id == product else None
        young = grown if grown in self.codes.unsellable else self.codes.first_state
        state = self._said("state", words.state, young)
        if state is None:
            raise Unclear(Sentence("say the state: the catalogue has none of plants that are not sold yet"))
        pot = self.codes.pot(words.packaging) if words.packaging else None
        category = container(words.container) if words.container else BinCategory.SEEDLING_TRAY.value
        return Spot(place, category, Lot(product, state, self._said("size", words.size, None), pot))

    def _planted(self, order: Order, place: int, crop: Crop | None) -> Spot:
        words = order.lot
        product = self._product(order, crop)
        same = crop.lot if crop is not None and crop.lot.product_id == product else None
        state = self._said("state", words.state, same.state_id if same else None)
        if state is None or (same is None and not words.packaging):
            named, where = self.codes.text("product", product), order.place.upper()
            missing = MISSING[bool(words.state), bool(words.packaging)]
            told = marked("{place} is not configured for {product}: say the {missing}")
            raise Unclear(Sentence(told, place=where, product=named, missing=missing))
        lot = Lot(
            product,
            state,
            self._said("size", words.size, same.size_id if same else None),
            self.codes.pot(words.packaging) if words.packaging else (same.packaging_id if same else None),
        )
        return Spot(place, self._category(words, place, lot), lot)

    def _said(self, kind: str, word: str | None, otherwise: int | None) -> int | None:
        return self.codes.find(kind, word) if word else otherwise

    def _category(self, words: LotWords, place: int, lot: Lot) -> str:
        """The kind of container: as said, or as the same plants stand there in, or the ground."""
        if words.container:
            return container(words.container)
        here = {
            spot.category
            for spot in self.shelves[place]
            if (spot.lot.product_id, spot.lot.packaging_id) == (lot.product_id, lot.packaging_id)
        }
        return here.pop() if len(here) == 1 else BinCategory.SEGMENT.value

    def _product(self, order: Order, crop: Crop | None) -> int:
        if order.lot.product:
            return self.codes.find("product", order.lot.product)
        if crop is None:
            raise Unclear(
                Sentence(
                    "nothing is configured to grow at {place}: say the product", place=order.place.upper()
                )
            )
        return crop.lot.product_id

    def _target(self, order: Order, source: Spot) -> Spot:
        words, lot = order.becomes, source.lot
        place = self.codes.find("place", order.to) if order.to else source.location_id
        new = Lot(
            self.codes.find("product", words.product) if words.product else lot.product_id,
            self.codes.find("state", words.state) if words.state else lot.state_id,
            self.codes.find("size", words.size) if words.size else lot.size_id,
            self.codes.pot(words.packaging) if words.packaging else lot.packaging_id,
        )
        potted = source.category in _TRAYS and new.packaging_id is not None
        category = BinCategory.SEGMENT.value if potted else source.category
        return Spot(place, container(words.container) if words.container else category, new)

    def _require_configured(self, order: Order, crop: Crop | None) -> None:
        """Raises ConfigMismatch."""
        place = order.place.upper()
        if crop is None:
            raise ConfigMismatch(Sentence(UNCONFIGURED, place=place))
        for kind, error, said, grows in (
            ("product", ProductMismatch, order.lot.product, crop.lot.product_id),
            ("pot", PackagingMismatch, order.lot.packaging, crop.lot.packaging_id),
        ):
            meant = (
                grows if not said else self.codes.pot(said) if kind == "pot" else self.codes.find(kind, said)
            )
            if meant != grows:
                wanted, grown = self.codes.text(kind, meant), self.codes.text(kind, grows)
                told = OTHER_POT if kind == "pot" else OTHER_PRODUCT
                raise error(Sentence(told, place=place, grown=grown, wanted=wanted))


_MAKERS: Mapping[Kind, Callable[[Desk, Order, int], list[Entry]]] = {
    Kind.SOW: lambda desk, order, place: [desk.bring(order, place)],
    Kind.PLANT: lambda desk, order, place: [desk.bring(order, place)],
    Kind.DEATH: lambda desk, order, place: [desk.take(order, place)],
    Kind.SALE: lambda desk, order, place: [desk.take(order, place)],
    Kind.ADJUST: lambda desk, order, place: [desk.adjust(order, place)],
    Kind.INIT: Desk.first_count,
    Kind.TRANSPLANT: Desk.transfer,
    Kind.MOVE: Desk.transfer,
}


def _require_sound(order: Order) -> None:
    """Raises Unclear for figures and wishes that make no sense."""
    most = LARGEST_FIRST_COUNT if order.kind is Kind.INIT else LARGEST
    lowest = -most if order.kind is Kind.ADJUST else 1
    if order.quantity == 0 or not lowest <= order.quantity <= most:
        told = SIGNED if lowest < 0 else POSITIVE
        raise Unclear(Sentence(told, most=most, n=order.quantity))
    n, dead = order.quantity, order.deaths
    if not 0 <= dead <= n and dead:
        raise Unclear(Sentence("of {n} plants, {dead} cannot die on the way", n=n, dead=dead))
    if not (1 <= order.per_pot <= 1000 and 1 <= order.from_per_pot <= 1000):
        raise Unclear(Sentence("plants per pot must be from 1 to 1,000"))
    if order.kind is Kind.MOVE and not order.to:
        raise Unclear(Sentence("say where the plants go"))
    if order.kind is Kind.ADJUST and not (order.reason or "").strip():
        raise Unclear(Sentence("an adjustment needs a reason"))
    if order.price is not None and not (0 <= order.price < 10**8 and round(order.price, 2) == order.price):
        raise Unclear(Sentence("{price} is no price like 1250.50", price=order.price))
