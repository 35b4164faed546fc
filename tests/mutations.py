"""Damage to files, as disks, networks and enemies do it. A seed gives the same damage again."""

from __future__ import annotations

import io
import zipfile
from random import Random

MOST = 400_000  # bytes of what comes out
# Lengths and offsets at which readers go wrong, in all widths that files use.
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 1 << 20, 1 << 24)


def mutate(data: bytes, random: Random, *, other: bytes = b"") -> bytes:
    """One to eight pieces of damage; `other` is a sound file from which parts may come."""
    for _ in range(random.choice([1, 1, 2, 4, 8])):
        if data:
            data = random.choice(_WAYS)(data, random, other or data)[:MOST]
    return data


def mutate_zip(data: bytes, random: Random) -> bytes:
    """Damage inside one part of a zip file, which as such stays sound: a spreadsheet, say."""
    source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    victim = random.choice(source.namelist())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for name in source.namelist():
            content = source.read(name)
            out.writestr(name, mutate(content, random) if name == victim else content)
    return target.getvalue()


def _flip(data: bytes, random: Random, _: bytes) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def _edge(data: bytes, random: Random, _: bytes) -> bytes:
    width = random.choice([1, 2, 4, 8])
    at = random.randrange(len(data))
    value = random.choice(EDGES) & ((1 << (8 * width)) - 1)
    return data[:at] + value.to_bytes(width, random.choice(["little", "big"])) + data[at + width :]


def _noise(data: bytes, random: Random, _: bytes) -> bytes:
    at, length = random.randrange(len(data)), random.randint(1, 64)
    return data[:at] + random.randbytes(length) + data[at + length :]


def _cut(data: bytes, random: Random, _: bytes) -> bytes:
    return data[: random.randrange(len(data))]


def _leave_out(data: bytes, random: Random, _: bytes) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + data[at + random.randint(1, 200) :]


def _repeat(data: bytes, random: Random, _: bytes) -> bytes:
    at, length = random.randrange(len(data)), random.randint(1, 400)
    return data[:at] + data[at : at + length] * random.choice([2, 3, 40]) + data[at + length :]


def _splice(data: bytes, random: Random, other: bytes) -> bytes:
    at, start = random.randrange(len(data)), random.randrange(len(other))
    return data[:at] + other[start : start + random.randint(1, 2000)] + data[at:]


def _zeros(data: bytes, random: Random, _: bytes) -> bytes:
    """A block that was never written."""
    at, length = random.randrange(len(data)), random.choice([16, 512, 4096])
    return data[:at] + bytes(length) + data[at + length :]


def _digits(data: bytes, random: Random, _: bytes) -> bytes:
    """A number in a text that is not what it was."""
    at = random.randrange(len(data))
    number = random.choice([b"-1", b"1e999", b"1048577", b"99999999999999999999", b"NaN", b"1/0", b"0"])
    return data[:at] + number + data[at + random.randint(0, 3) :]


_WAYS = (_flip, _edge, _noise, _cut, _leave_out, _repeat, _splice, _zeros, _digits)
