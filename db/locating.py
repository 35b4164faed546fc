"""Which place a photo shows, from what says so: all of it is heard, and a contradiction is never settled
silently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from db.geojson import metres_from
from db.models.places import StorageLocation
from db.models.vocabulary import LocatedBy
from db.places import Place
from pipeline.types import Gps
from pipeline.words import Sentence

# Phones are off by 3 to 10 m outdoors and more under a roof, and places are two metres wide: a position
# cannot tell the place, only that it is not this one.
FAR_METRES = 15.0
# In this order their word is taken. What a person says of this very photo settles it.
TOLD = (LocatedBy.GIVEN, LocatedBy.ASSIGNED, LocatedBy.WALK)
READ = (LocatedBy.CODE, LocatedBy.SIDECAR, LocatedBy.NAME)
_WHAT = {
    LocatedBy.GIVEN: "--place says",
    LocatedBy.ASSIGNED: "it was assigned to",
    LocatedBy.WALK: "it was assigned to",
    LocatedBy.CODE: "a code in the photo says",
    LocatedBy.SIDECAR: "places.csv says",
    LocatedBy.NAME: "its name says",
}


@dataclass(frozen=True, slots=True)
class Located:
    """`warnings` say which sources contradict each other, and what was made of it."""

    place: Place | None
    by: LocatedBy | None
    warnings: tuple[str, ...] = ()


def locate(said: Mapping[LocatedBy, Sequence[Place]]) -> Located:
    """Decide from the places that each source names.

    A source that names several says nothing, and that is told. Of sources that agree the first is the
    witness. Where what was read contradicts itself, no place is taken: a person has to look. What a person
    says wins over what was read, with a warning.
    """
    warnings, heard = [], {}
    for source in (*TOLD, *READ):
        places = list(dict.fromkeys(said.get(source, ())))
        if len(places) > 1:
            codes = " and ".join(sorted(place.code for place in places))
            warnings.append(
                Sentence("{source} {places}, so it says nothing", source=_WHAT[source], places=codes)
            )
        elif places:
            heard[source] = places[0]
    if not heard:
        return Located(None, None, tuple(warnings))
    witness = next(iter(heard))
    place = heard[witness]
    others = {source: other for source, other in heard.items() if other != place}
    if others:
        told = "; ".join(f"{_WHAT[source]} {other.code}" for source, other in heard.items())
        if witness in READ:
            return Located(None, None, (*warnings, Sentence("which place is it? {sources}", sources=told)))
        warnings.append(Sentence("{sources}; {place} was taken", sources=told, place=place.code))
    return Located(place, witness, tuple(warnings))


def far_from(connection: Connection, place: Place, gps: Gps | None) -> str | None:
    """A sentence if the photo's position is farther from the place than a phone errs."""
    if gps is None:
        return None
    geometry = connection.scalar(select(StorageLocation.geometry).where(StorageLocation.id == place.id))
    if geometry is None:
        return None
    metres = metres_from(geometry, (gps.longitude, gps.latitude))
    if metres <= FAR_METRES + (gps.error or 0.0):
        return None
    shown = f"{metres:.0f} m" if metres < 10_000 else f"{metres / 1000:.0f} km"
    return Sentence(
        "its GPS position is {distance} from {place}; is it the right place?",
        distance=shown,
        place=place.code,
    )


def nearest(connection: Connection, gps: Gps, most: int = 5) -> list[tuple[str, float]]:
    """The active places nearest to a position, with metres: candidates, no answer."""
    rows = connection.execute(
        select(StorageLocation.code, StorageLocation.geometry).where(
            StorageLocation.active, StorageLocation.geometry.is_not(None)
        )
    )
    point = (gps.longitude, gps.latitude)
    ranked = sorted((metres_from(shape, point), code) for code, shape in rows if shape)
    return [(code, metres) for metres, code in ranked[:most]]
