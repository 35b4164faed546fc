"""Every source is heard, and a contradiction is never settled in silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from db.errors import NotFound
from db.locating import READ, TOLD, far_from, locate, nearest
from db.models.vocabulary import LocatedBy
from db.places import Place, PlaceIndex, between
from pipeline.types import Gps

A, B, C = (Place(number, f"N01-NORTE-C0{number}") for number in (1, 2, 3))
SAID = st.dictionaries(st.sampled_from(list(LocatedBy)), st.lists(st.sampled_from([A, B, C]), max_size=3))


@given(said=SAID)
def test_what_people_say_wins_and_what_is_read_must_agree(said: dict[LocatedBy, list[Place]]) -> None:
    found = locate(said)
    clear = {source: set(places) for source, places in said.items() if len(set(places)) == 1}
    told = [clear[source] for source in TOLD if source in clear]
    read = {place for source in READ if source in clear for place in clear[source]}
    if told:
        assert {found.place} == told[0]
    elif len(read) == 1:
        assert {found.place} == read
    else:
        assert found.place is None
    assert (found.place is None) == (found.by is None)
    # Silence only where all that speak, say the same, and none says two things at once.
    agreed = len({place for places in clear.values() for place in places}) <= 1
    unclear = any(len(set(places)) > 1 for places in said.values())
    assert bool(found.warnings) == (not agreed or unclear)


def test_a_contradiction_names_the_sources_and_their_places() -> None:
    found = locate({LocatedBy.CODE: [A], LocatedBy.NAME: [B]})
    assert found.place is None
    [told] = found.warnings
    assert told == f"which place is it? a code in the photo says {A.code}; its name says {B.code}"
    given_ = locate({LocatedBy.GIVEN: [C], LocatedBy.CODE: [A]})
    assert given_.place == C
    assert f"{C.code} was taken" in given_.warnings[0]


def test_a_position_is_a_check_and_no_answer(demo: Connection) -> None:
    places = PlaceIndex.load(demo)
    place = places.named("N01-NORTE-C01")
    near = Gps(-33.0399432, -68.6999906, None, None)
    assert far_from(demo, place, near) is None
    assert far_from(demo, place, None) is None
    away = Gps(-33.0399432, -68.6985, None, None)
    assert "m from N01-NORTE-C01; is it the right place?" in str(far_from(demo, place, away))
    assert far_from(demo, place, Gps(-33.0399432, -68.6985, None, 200.0)) is None  # so unsure was the phone
    assert "km from" in str(far_from(demo, place, Gps(-33.05, -71.4, None, None)))
    ranked = nearest(demo, near)
    assert ranked[0] == ("N01-NORTE-C01", 0.0)
    assert [metres for _, metres in ranked] == sorted(metres for _, metres in ranked)


def test_a_walk_goes_along_a_bed_either_way_and_crosses_to_no_other(demo: Connection) -> None:
    places = PlaceIndex.load(demo)
    first, last = places.named("N01-NORTE-C02"), places.named("N01-NORTE-C04")
    codes = [place.code for place in between(demo, first, last)]
    assert codes == ["N01-NORTE-C02", "N01-NORTE-C03", "N01-NORTE-C04"]
    assert [place.code for place in between(demo, last, first)] == codes[::-1]
    with pytest.raises(NotFound, match="stand in different beds"):
        between(demo, first, places.named("N01-SUR-C01"))


def test_labels_are_known_by_their_own_text_and_by_the_code(demo: Connection) -> None:
    places = PlaceIndex.load(demo)
    for text in ("QR-N01N-C02", " qr-n01n-c02 ", "N01-NORTE-C02"):
        assert places.on_label(text) == places.named("N01-NORTE-C02")
    assert places.on_label("https://example.org") is None
