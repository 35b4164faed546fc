"""Evidence in a file is the evidence that was put there, or no evidence."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.evidence import Evidence
from pipeline.kept import ARRAYS, Kept, pack, unpack
from pipeline.quality import Quality
from pipeline.regions import working_size
from pipeline.types import Container, ContainerKind, Detections, Role

QUALITY = Quality(**{field.name: 0.5 + number for number, field in enumerate(fields(Quality))})


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Photos of any size with any number of boxes and containers, with and without a density."""
    width, height = draw(st.integers(1, 4000)), draw(st.integers(1, 4000))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    many, beds = draw(st.integers(0, 40)), draw(st.integers(0, 4))
    corners = random.uniform(0, 3000, (many, 2))
    found = Detections(
        np.hstack([corners, corners + random.uniform(1, 90, (many, 2))]).astype(np.float32),
        random.uniform(0, 1, many).astype(np.float32),
        random.integers(0, 3, many).astype(np.int16),
        random.random(many) < 0.2,
    )
    containers = tuple(
        Container(
            draw(st.sampled_from(ContainerKind)),
            random.uniform(0, 4000, (draw(st.integers(3, 9)), 2)).astype(np.float32),
            float(random.random()),
            draw(st.sampled_from(Role)),
        )
        for _ in range(beds)
    )
    density = random.uniform(0, 2, (7, 9)).astype(np.float16).astype(np.float32)
    rows, columns = working_size(width, height)
    return Evidence(
        width,
        height,
        containers,
        found,
        random.random(many) < 0.5,
        random.integers(-1, beds, many).astype(np.intp) if beds else np.full(many, -1, np.intp),
        float(random.uniform(0.2, 1.3)),
        cv2.imencode(".jpg", np.zeros((rows, columns, 3), np.uint8))[1].tobytes(),
        density if draw(st.booleans()) else None,
        8.0,
    )


@given(evidence=evidences(), phash=st.none() | st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=25)
def test_what_is_packed_comes_out_again(evidence: Evidence, phash: int | None) -> None:
    kept = Kept(evidence, QUALITY, "ab" * 32, phash)
    content = pack(kept)
    assert pack(kept) == content
    again = unpack(content, "x.npz")
    assert (again.quality, again.network, again.phash) == (QUALITY, "ab" * 32, phash)
    one, two = evidence, again.evidence
    assert (one.width, one.height, one.zoom, one.jpeg) == (two.width, two.height, two.zoom, two.jpeg)
    for name in ("boxes", "scores", "classes", "cut"):
        held, wanted = getattr(two.found, name), getattr(one.found, name)
        assert held.dtype == wanted.dtype
        assert np.array_equal(held, wanted)
    assert np.array_equal(two.sure, one.sure)
    assert np.array_equal(two.owner, one.owner)
    assert len(two.containers) == len(one.containers)
    for a, b in zip(two.containers, one.containers, strict=True):
        assert (a.kind, a.role, a.score) == (b.kind, b.role, b.score)
        assert np.array_equal(a.polygon, b.polygon)
    if one.density is None:
        assert two.density is None
    else:
        assert two.density is not None
        assert np.array_equal(two.density, one.density)
        assert two.density_cell == one.density_cell


def an_evidence() -> Evidence:
    bed = Container(ContainerKind.SEGMENT, np.array([[0, 0], [90, 0], [90, 60], [0, 60]], np.float32), 0.9)
    found = Detections(
        np.array([[5, 5, 25, 25], [30, 5, 50, 25]], np.float32),
        np.array([0.9, 0.3], np.float32),
        np.zeros(2, np.int16),
        np.zeros(2, np.bool_),
    )
    jpeg = cv2.imencode(".jpg", np.zeros((60, 90, 3), np.uint8))[1].tobytes()
    sure = np.array([True, False])
    return Evidence(90, 60, (bed,), found, sure, np.zeros(2, np.intp), 1.0, jpeg)


@given(data=st.data())
@settings(max_examples=60)
def test_a_damaged_file_gives_a_sentence_or_the_evidence(data: st.DataObject) -> None:
    content = bytearray(pack(Kept(an_evidence(), QUALITY, "n")))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(1, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert unpack(bytes(content), "x.npz").evidence.width > 0
    except StorageError as error:
        assert "x.npz" in str(error)


def rewritten(change: Callable[[dict[str, bytes]], Any]) -> bytes:
    """The file with its parts changed."""
    with zipfile.ZipFile(io.BytesIO(pack(Kept(an_evidence(), QUALITY, "n")))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(array: np.ndarray, *, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=pickled)
    return buffer.getvalue()


def head(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(parts: dict[str, bytes]) -> None:
        stream = io.BytesIO(parts["head.npy"])
        values = json.loads(np.lib.format.read_array(stream).tobytes()) | changes
        parts["head.npy"] = npy(np.frombuffer(json.dumps(values).encode(), np.uint8))

    return change


def part(name: str, array: np.ndarray, *, pickled: bool = False) -> Callable[[dict[str, bytes]], None]:
    return lambda parts: parts.__setitem__(f"{name}.npy", npy(array, pickled=pickled))


def huge(parts: dict[str, bytes]) -> None:
    """A header that promises more than the memory of any machine holds."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (2**50,)}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    parts["scores.npy"] = buffer.getvalue() + bytes(8)


@pytest.mark.parametrize(
    "change",
    [
        head(version=2),
        head(width=-5),
        head(width=10**9),
        head(height=61),
        head(zoom=0),
        head(zoom=float("nan")),
        head(quality={}),
        head(containers=[]),
        head(containers=[{"kind": "boat", "role": "main", "score": 1, "corners": 4}]),
        head(containers=[{"kind": "box", "role": "main", "score": 1, "corners": 10**12}]),
        head(phash=2**70),
        part("boxes", np.zeros((2, 4), "<f4")),
        part("boxes", np.full((2, 4), np.nan, "<f4")),
        part("boxes", np.zeros((3, 4), "<f4")),
        part("scores", np.full(2, 1.5, "<f4")),
        part("scores", np.zeros(2, "<f8")),
        part("owner", np.full(2, 7, "<i4")),
        part("corners", np.full((4, 2), np.inf, "<f4")),
        part("jpeg", np.zeros(100, np.uint8)),
        part("head", np.array([{"run": "me"}], object), pickled=True),
        huge,
        lambda parts: parts.pop("cut.npy"),
        lambda parts: parts.__setitem__("more.npy", b""),
        lambda parts: parts.__setitem__("jpeg.npy", bytes(65 << 20)),
    ],
)
def test_what_cannot_be_evidence_is_refused(change: Callable[[dict[str, bytes]], Any]) -> None:
    with pytest.raises(StorageError, match=r"x\.npz is damaged"):
        unpack(rewritten(change), "x.npz")


def test_only_the_parts_that_are_listed_are_written() -> None:
    with zipfile.ZipFile(io.BytesIO(pack(Kept(an_evidence(), QUALITY, "n")))) as archive:
        assert archive.namelist() == [f"{name}.npy" for name in ARRAYS]


def test_an_empty_photo_can_be_kept() -> None:
    empty = replace(
        an_evidence(),
        containers=(),
        found=Detections.empty(),
        sure=np.empty(0, np.bool_),
        owner=np.empty(0, np.intp),
    )
    again = unpack(pack(Kept(empty, QUALITY, "n")), "x.npz").evidence
    assert (len(again.found), again.containers) == (0, ())
