"""The commands that the pages show, and how a test runs them.

A block of commands (```sh, or ```console with its output) runs as it stands, in the order of the page, in a
scratch folder and on a demo nursery of the page's own. HTML comments before a block, which no reader sees,
prepare it or say why it does not run:

    <!-- run first: cp -r examples photos -->
    <!-- not run: it needs Docker -->
    <!-- not run: `model evaluate`: it needs labelled photos -->    only lines with these words
    <!-- run as: eva@vivero.ar -->    this block and those after it
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_BLOCK = re.compile(r"((?:^ *<!--.*?-->\n+)*)^ *```(sh|console)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--\s*(run first|run as|not run):\s*(.*?)\s*-->", re.DOTALL)
_PARTLY = re.compile(r"`([^`]+)`:\s*\S")


@dataclass(frozen=True)
class Step:
    """A line to run. `fails` if the page shows an error after it."""

    line: str
    fails: bool = False


@dataclass(frozen=True)
class Block:
    first: str  # shell to run beforehand
    user: str  # who acts from here on; empty: as before
    steps: list[Step]
    reason: str = ""  # why nothing of it runs
    left_out: list[str] = field(default_factory=list)

    @property
    def to_run(self) -> list[Step]:
        if self.reason:
            return []
        return [step for step in self.steps if not any(words in step.line for words in self.left_out)]


def blocks(page: Path) -> Iterator[Block]:
    for comments, language, body in _BLOCK.findall(page.read_text(encoding="utf-8")):
        told = _COMMENT.findall(comments)
        first = "\n".join(text for kind, text in told if kind == "run first")
        user = next((text for kind, text in told if kind == "run as"), "")
        reasons = [text for kind, text in told if kind == "not run"]
        partly = [part[1] for text in reasons for part in [_PARTLY.match(text)] if part]
        whole = next((text for text in reasons if not _PARTLY.match(text)), "")
        yield Block(first, user, list(_steps(language, body)), whole, partly)


def _steps(language: str, body: str) -> Iterator[Step]:
    lines = [line.strip() for line in body.replace("\\\n", " ").splitlines()]
    if language == "sh":
        yield from (Step(line) for line in map(_bare, lines) if line)
        return
    for number, line in enumerate(lines):
        if line.startswith("$ "):
            rest = lines[number + 1 :]
            shown = rest[: next((at for at, other in enumerate(rest) if other.startswith("$ ")), len(rest))]
            yield Step(_bare(line[2:]), fails=any(other.startswith("error:") for other in shown))


def _bare(line: str) -> str:
    """Without the remark at its end."""
    return re.sub(r"(^|\s+)#.*$", "", line).strip()


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every `demeter …` that a page shows: in blocks, after `$`, and in the text."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    shown = [line for _, _, body in _BLOCK.findall(text) for line in body.splitlines()]
    shown = [line for line in shown if line.startswith(("demeter ", "$ demeter "))]
    shown += re.findall(r"^\$ (demeter .*)$", text, re.MULTILINE)
    shown += re.findall(r"(?<!`)`(demeter [^`\n]*)`", text)
    for line in shown:
        try:
            words = shlex.split(re.split(r"\s(?:[|>&]+|\|\|)\s", _bare(line.removeprefix("$ ")))[0])
        except ValueError:
            continue
        yield words
