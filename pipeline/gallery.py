"""A page of labelled photos, the worst counted first, with missed plants and boxes on nothing drawn in.

The page needs nothing but the pictures beside it: no script, no style sheet, no network.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres
from pipeline.decode import decode, save_image
from pipeline.errors import PhotoError, StorageError
from pipeline.find import own_folder, printable
from pipeline.scores import Scored
from pipeline.types import Pixels

PAGE = "index.html"
LONG_SIDE = 2400  # a plant of ten pixels is still told from its neighbour
MOST_ENLARGED = 2.0
# Okabe and Ito's colours stay apart for colour-blind people; red green blue. Shapes differ as well.
MISSED, SPURIOUS, FOUND = (240, 228, 66), (86, 180, 233), (255, 255, 255)
BLACK = (0, 0, 0)
EDGE = 2  # pixels of dark line around a bright one
LEGEND = (
    ("missed", MISSED, "a plant that should have been found: a yellow box"),
    ("spurious", SPURIOUS, "a box on no plant, or the second one on the same: a blue box with a cross"),
    ("found", FOUND, "a plant that was found: a white dot"),
)
STYLE = """
body { margin: 0 auto; max-width: 110rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif;
       color: #1a1a1a; background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .25rem; }
p { margin: .25rem 0; max-width: 60rem; }
ul { list-style: none; margin: 1rem 0; padding: 0; }
li { margin: .25rem 0; }
svg { width: 1.5rem; height: 1.5rem; vertical-align: middle; margin-right: .5rem; background: #555; }
figure { margin: .25rem 0; }
figcaption { margin-bottom: .5rem; max-width: 60rem; }
img { display: block; max-width: 100%; height: auto; }
"""


def open_gallery(folder: Path, images: Path) -> None:
    """Make the folder, before hours are spent on what goes into it. Raises StorageError."""
    if folder.resolve().is_relative_to(images.resolve()):
        raise StorageError(
            f"{printable(folder)} lies inside the folder of the labelled photos, where its pictures would be"
            " taken for photos: choose another folder for the gallery."
        )
    own_folder(folder)


def write_gallery(folder: Path, scored: Sequence[Scored], max_pixels: int) -> Path:
    """A picture of every photo and the page that shows them; returns its path.

    `max_pixels` is the largest photo to decode. Raises PhotoError or StorageError.
    """
    worst_first = sorted(
        scored, key=lambda one: (-one.error, -int(one.missed.sum() + one.false.sum()), str(one.photo.file))
    )
    entries = []
    for one in worst_first:
        name = _picture_name(one.photo.file)
        save_image(folder / name, draw(decode(one.photo.file, max_pixels=max_pixels, min_side=1), one))
        entries.append(_entry(one, name))
    page = folder / PAGE
    try:
        page.write_text(_page(worst_first, entries), encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{printable(page)} cannot be written: {error.strerror}."
            " Free some space, or choose another folder."
        ) from error
    return page


def draw(photo: Pixels, one: Scored) -> Pixels:
    """The photo, enlarged if it is small, with what was found, missed and made up, and a legend above it."""
    if photo.shape[:2] != (one.photo.height, one.photo.width):
        raise PhotoError(f"{printable(one.photo.file)} has changed since it was counted; run again")
    scale = min(MOST_ENLARGED, LONG_SIDE / max(photo.shape[:2]))
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = cv2.resize(photo, size, interpolation=way).astype(np.uint8, copy=False)
    weight = max(1, round(max(size) / 1000))
    found, sure = one.answer.found, one.answer.sure
    _dots(canvas, centres(found.boxes[one.matches.hit & sure]) * scale, weight)
    _frames(canvas, found.boxes[one.false] * scale, SPURIOUS, weight, crossed=True)
    _frames(canvas, one.photo.boxes[one.missed] * scale, MISSED, weight, crossed=False)
    return np.vstack([_legend(size[0], weight, one), canvas])


def _frames(
    canvas: Pixels, boxes: NDArray[np.floating], colour: tuple[int, int, int], weight: int, *, crossed: bool
) -> None:
    """Dark first, all of them, then bright: where boxes overlap, no dark line hides a bright one."""
    corners = np.round(boxes).astype(int).tolist()
    for ink, width in ((BLACK, weight + EDGE), (colour[::-1], weight)):
        for x1, y1, x2, y2 in corners:
            cv2.rectangle(canvas, (x1, y1), (x2, y2), ink, width, cv2.LINE_AA)
            if crossed:
                cv2.line(canvas, (x1, y1), (x2, y2), ink, width, cv2.LINE_AA)
                cv2.line(canvas, (x1, y2), (x2, y1), ink, width, cv2.LINE_AA)


def _dots(canvas: Pixels, middles: NDArray[np.floating], weight: int) -> None:
    for x, y in np.round(middles).astype(int).tolist():
        cv2.circle(canvas, (x, y), weight + EDGE, BLACK, -1, cv2.LINE_AA)
        cv2.circle(canvas, (x, y), weight, FOUND, -1, cv2.LINE_AA)


def _legend(width: int, weight: int, one: Scored) -> Pixels:
    """A strip that explains the marks of a picture that has left its page; ASCII, for OpenCV's letters."""
    numbers = {"missed": one.missed.sum(), "spurious": one.false.sum(), "found": one.score.hits}
    words = [f"{numbers[name]} {name}" for name, _, _ in LEGEND]
    step, size = 14 * weight, 0.4 * weight
    while True:  # A tall photo is narrow: smaller letters until all fit.
        widths = [cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, weight)[0][0] for text in words]
        if sum(widths) + 3 * len(words) * step <= width or size < 0.3:
            break
        size *= 0.9
    strip = np.full((2 * step, width, 3), 40, np.uint8)
    x = step
    for (name, colour, _), text, extent in zip(LEGEND, words, widths, strict=True):
        mark = np.array([[x, step // 2, x + step, step // 2 + step]], np.float32)
        if name == "found":
            _dots(strip, centres(mark), weight)
        else:
            _frames(strip, mark, colour, weight, crossed=name == "spurious")
        at = (x + 3 * step // 2, step + step // 3)
        cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, FOUND, weight, cv2.LINE_AA)
        x += 3 * step + extent
    return strip


def _picture_name(file: Path) -> str:
    """Plain ASCII, the same for the same photo, different for photos of the same name in other folders."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in file.stem[:60])
    return f"{plain}-{blake2b(str(file).encode('utf-8', 'surrogateescape'), digest_size=4).hexdigest()}.jpg"


def _page(worst_first: Sequence[Scored], entries: Sequence[str]) -> str:
    one = worst_first[0]
    title = f"Worst photos first: {one.method} with {one.model}"
    marks = "\n".join(f"<li>{_mark(name, colour)}{html.escape(words)}</li>" for name, colour, words in LEGEND)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
<p>{len(entries)} labelled photos, those first whose count is off by the largest share. Plants less than a
quarter visible are neither missed nor spurious. A picture opens at its full size.</p>
<ul>
{marks}
</ul>
{"".join(entries)}</body>
</html>
"""


def _mark(name: str, colour: tuple[int, int, int]) -> str:
    ink = "#{:02x}{:02x}{:02x}".format(*colour)
    if name == "found":
        shape = f'<circle cx="12" cy="12" r="4" fill="{ink}" stroke="#000" stroke-width="2"/>'
    else:
        cross = "M4 4L20 20M20 4L4 20" if name == "spurious" else ""
        path = f'd="M4 4H20V20H4Z{cross}" fill="none"'
        shape = (
            f'<path {path} stroke="#000" stroke-width="5"/><path {path} stroke="{ink}" stroke-width="2.5"/>'
        )
    return f'<svg viewBox="0 0 24 24" aria-hidden="true">{shape}</svg>'


def _entry(one: Scored, picture: str) -> str:
    name = html.escape(printable(Path(one.photo.file.name)))
    words = f"{name}: {int(one.missed.sum())} plants missed, {one.score.false} boxes spurious"
    return f"""<section>
<h2>{name}</h2>
<figure>
<figcaption>{" ".join(_sentences(one))}</figcaption>
<a href="{quote(picture)}"><img src="{quote(picture)}" loading="lazy" alt="{words}"></a>
</figure>
</section>
"""


def _sentences(one: Scored) -> Iterator[str]:
    answer, photo, score = one.answer, one.photo, one.score
    bounds = "" if answer.bounds is None else f" ({answer.bounds[0]}–{answer.bounds[1]})"
    off = f", {(answer.total - photo.total) / photo.total:+.1%}" if photo.total else ""
    yield f"<strong>{answer.total} counted{bounds}, {photo.total} true{off}.</strong>"
    if photo.main is not None and answer.main is not None:
        yield f"The photographed bed alone: {answer.main.total} counted, {photo.main} true."
    yield f"{int(one.missed.sum())} of {score.asked} visible plants missed,"
    yield f"{score.false} of {score.hits + score.false} boxes spurious."
    if one.precision.ap50 is not None:
        yield f"AP50 {one.precision.ap50:.1%}."
