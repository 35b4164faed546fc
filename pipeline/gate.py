"""The photo gate: what makes a photo's count doubtful or worthless, and what to do about it.

The limits were chosen by a study: photos with known counts were made worse step by step, and
each limit lies where the error of the count has about doubled, those of `unreadable` where two fifths of the
plants are lost. No training photo in its original state reaches any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GateConfig, Reaction
from pipeline.evidence import Evidence
from pipeline.quality import COARSE, Frame, Quality, measure
from pipeline.sight import Sight
from pipeline.types import Check, Finding, Measures, Role, Severity
from pipeline.unlike import Reference, unlikeness
from pipeline.words import Sentence

# Sharpness below which plants run together, and below which hardly any is found.
BLURRED, SMEARED = 0.42, 0.31
# Detail across a direction as a multiple of that along it: the camera moved that way. A moved photo keeps
# detail across the movement, so less is asked of its sharpness.
MOVED, MOVED_SHARPNESS = 1.28, 0.65
DRAGGED, DRAGGED_SHARPNESS = 1.4, 0.365
# Grey level of the lightest twentieth of the photo.
DARK, BLACK = 45, 30
BURNT = 0.25  # share of the bed
GRAINY = 4.5  # grey levels of noise
# How much darker than its lightest parts the darkest parts of a photo are, as a share.
HAZY, BLANK = 0.3, 0.16
FEWEST_PIXELS = 11.0  # side of the median plant
# See `Tilt`: with more than this the horizon lies a fifth of the photo below its upper edge.
OBLIQUE = 3.2
SURE = 3  # standard errors
# Logarithms by which size shrinks towards the bottom of a photo that is upside down, or grows to one side.
UPSIDE_DOWN, ON_ITS_SIDE = -0.35, 0.6
FEW_PLANTS = 10  # on bare floor the detector imagines some
LOOSE_SHARE = 0.1
STRANGE = 2.0  # times wider; see pipeline/unlike.py

# What is wrong with the scene widens its interval; what is wrong with the picture does so by its unlikeness.
_DOUBTFUL = frozenset({Check.FLOOR, Check.EMPTY, Check.LOOSE, Check.TURNED})
SEVERITIES = {Reaction.WARN: Severity.WARNING, Reaction.REFUSE: Severity.REFUSAL}


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that is held against a photo, before the settings decide what becomes of it."""

    findings: tuple[Finding, ...]
    measures: Measures
    unlikeness: float

    @property
    def doubtful(self) -> bool:
        """Whether the scene casts doubt on its count, whatever the settings make of it."""
        return any(found.check in _DOUBTFUL for found in self.findings)


def quality_of_bed(frame: Frame, evidence: Evidence) -> Quality:
    """Of the picture only the part that shows the bed matters."""
    return measure(frame, _bed(evidence))


def judge(quality: Quality, evidence: Evidence, reference: Reference | None) -> Judgement:
    """Once plants and containers are found."""
    sight = Sight.of(evidence)
    measured = measures(quality, sight)
    unlike = unlikeness(measured, sight.containers, reference)
    return Judgement((*judge_picture(quality), *judge_scene(sight, unlike)), measured, unlike)


def _bed(evidence: Evidence) -> NDArray[np.bool_]:
    """(h, w): where the photographed bed is, coarsely."""
    is_main = [False, *(container.role is Role.MAIN for container in evidence.containers)]
    bed: NDArray[np.bool_] = np.array(is_main)[evidence.regions.labels[::COARSE, ::COARSE]]
    return bed


def hopeless(frame: Frame) -> tuple[Finding, ...]:
    """Before anything is looked for: what makes counting useless."""
    return tuple(found for found in judge_picture(measure(frame)) if found.check is Check.UNREADABLE)


def judge_picture(quality: Quality) -> Iterator[Finding]:
    """What the pixels alone give away."""
    reason = _unreadable(quality)
    if reason is not None:
        yield _found(Check.UNREADABLE, *reason)
        return
    if quality.light < DARK:
        sentence = Sentence("the photo is too dark; take it again with more light")
        yield _found(Check.DARK, sentence, quality.light)
    elif quality.grain > GRAINY:
        sentence = Sentence("the photo is grainy, as with too little light; take it again with more light")
        yield _found(Check.DARK, sentence, quality.grain)
    if quality.burnt > BURNT:
        sentence = Sentence(
            "{share:.0%} of the bed is burnt out by too much light; take it again without the sun "
            "on it, or tap on the plants before you shoot",
            share=quality.burnt,
        )
        yield _found(Check.BRIGHT, sentence, quality.burnt)
    if quality.contrast < HAZY:
        sentence = Sentence("the photo is hazy; wipe the lens and take it again")
        yield _found(Check.HAZE, sentence, quality.contrast)
    if quality.motion > MOVED and quality.sharpness < MOVED_SHARPNESS:
        sentence = Sentence(
            "the photo is blurred (moved while shooting); hold the phone still, or take it with more light"
        )
        yield _found(Check.MOTION, sentence, quality.motion)
    elif quality.sharpness < BLURRED:
        sentence = Sentence(
            "the photo is blurred (out of focus); wipe the lens, tap on the plants to focus, take it again"
        )
        yield _found(Check.BLUR, sentence, quality.sharpness)


def _unreadable(quality: Quality) -> tuple[str, float] | None:
    """Why hardly a plant can be made out, and the measure that says so."""
    if quality.light < BLACK:
        return Sentence("the photo is almost black; take it again with more light"), quality.light
    if quality.contrast < BLANK:
        sentence = Sentence(
            "there is hardly anything to be seen in the photo; uncover or wipe the lens, take it again"
        )
        return sentence, quality.contrast
    dragged = quality.motion > DRAGGED and quality.sharpness < DRAGGED_SHARPNESS
    if dragged or quality.sharpness < SMEARED:
        sentence = (
            Sentence(
                "the photo is too blurred to count (moved while shooting); hold the phone"
                " still, let it focus, take it again"
            )
            if dragged
            else Sentence(
                "the photo is too blurred to count (out of focus); hold the phone still,"
                " let it focus, take it again"
            )
        )
        return sentence, quality.sharpness
    return None


def judge_scene(sight: Sight, unlike: float) -> Iterator[Finding]:
    """What the plants and containers that were found give away."""
    nothing = list(_judge_bed(sight))
    yield from nothing
    if any(found.check is not Check.LOOSE for found in nothing):
        return
    if sight.size < FEWEST_PIXELS:
        sentence = Sentence(
            "plants are only {size:.0f} pixels wide, {least:.0f} are needed; go closer, "
            "or send photos in full size (messaging apps shrink them)",
            size=sight.size,
            least=FEWEST_PIXELS,
        )
        yield _found(Check.SMALL, sentence, sight.size)
    yield from _judge_angle(sight)
    if unlike >= STRANGE:
        sentence = Sentence(
            "the photo is unlike those that the model learnt from, so its range is wide; look at its picture"
        )
        yield _found(Check.STRANGE, sentence, unlike)


def _judge_bed(sight: Sight) -> Iterator[Finding]:
    if not sight.containers and sight.plants < FEW_PLANTS:
        sentence = Sentence("no container and no plant was found; check that the photo shows a bed")
        if sight.plants:
            sentence = Sentence.counted(
                "no container was found, and only {n} plant; check that the photo shows a bed",
                "no container was found, and only {n} plants; check that the photo shows a bed",
                sight.plants,
            )
        yield _found(Check.FLOOR, sentence, sight.plants)
    elif not sight.plants:
        sentence = Sentence(
            "containers were found but no plant in them; check the photo, or that they are empty"
        )
        yield _found(Check.EMPTY, sentence, sight.containers)
    elif not sight.containers:
        sentence = Sentence(
            "no container was found around the plants; check that the photo shows the whole bed"
        )
        yield _found(Check.LOOSE, sentence, 1.0)
    elif sight.loose > LOOSE_SHARE * sight.plants:
        sentence = Sentence(
            "{loose} of {n} plants stand outside every container; look at its picture",
            loose=sight.loose,
            n=sight.plants,
        )
        yield _found(Check.LOOSE, sentence, sight.loose / sight.plants)


def _judge_angle(sight: Sight) -> Iterator[Finding]:
    tilt = sight.tilt
    if tilt is None:
        return
    down, right = tilt.down, abs(tilt.right)
    upright = max(down + SURE * tilt.down_error, ON_ITS_SIDE)
    if down < UPSIDE_DOWN and down + SURE * tilt.down_error < 0:
        sentence = Sentence(
            "the photo seems to be upside down, for plants look smaller towards the bottom; "
            "turn it and send it again"
        )
        yield _found(Check.TURNED, sentence, down)
    elif right - SURE * tilt.right_error > upright:
        sentence = (
            Sentence(
                "the photo seems to lie on its side, for plants look smaller towards the left;"
                " turn it and send it again"
            )
            if tilt.right > 0
            else Sentence(
                "the photo seems to lie on its side, for plants look smaller towards the right;"
                " turn it and send it again"
            )
        )
        yield _found(Check.TURNED, sentence, tilt.right)
    elif down - SURE * tilt.down_error > OBLIQUE:
        sentence = Sentence(
            "the photo was taken too flat over the bed, with the horizon in it; "
            "hold the phone higher and point it down"
        )
        yield _found(Check.ANGLE, sentence, down)


def _found(check: Check, sentence: str, value: float) -> Finding:
    return Finding(check, Severity.WARNING, sentence, float(value))


def react(findings: Iterable[Finding], config: GateConfig) -> tuple[Finding, ...]:
    """The findings with the severity that the settings give them; those switched off are left out."""
    return tuple(
        found if found.severity is Severity.NOTE else replace(found, severity=SEVERITIES[reaction])
        for found in findings
        if (reaction := config.reaction(found.check)) is not Reaction.OFF
    )


def refuses(findings: Iterable[Finding]) -> bool:
    return any(found.is_refusal for found in findings)


def measures(quality: Quality, sight: Sight) -> Measures:
    """The figures by which `pipeline.unlike` compares photos."""
    return Measures(
        sharpness=quality.sharpness,
        motion=quality.motion,
        light=quality.light,
        contrast=quality.contrast,
        burnt=quality.burnt,
        grain=quality.grain,
        green=quality.green,
        blue=quality.blue,
        colour=quality.colour,
        apparent=sight.apparent,
        score=sight.score,
        doubtful=sight.doubtful,
    )
