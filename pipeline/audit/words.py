"""What an audit's sheet says, in the language of those who count: whoever makes a sheet passes it in."""

from __future__ import annotations

from dataclasses import dataclass

# The heads of the file of counts, by language, and what a spreadsheet of it takes for the end of a cell. The
# file comes back from a person's spreadsheet, so whichever was written is understood.
COLUMNS = {
    "en": ("audit", "tile", "plants", "remark"),
    "es": ("auditoria", "imagen", "plantas", "observacion"),
}
DELIMITERS = {"en": ",", "es": ";"}


@dataclass(frozen=True, slots=True)
class Words:
    """Every text on a sheet, in `language`, a key of `COLUMNS`."""

    language: str
    title: str
    name: str
    date: str
    rules: tuple[str, ...]
    return_by_file: str  # before the command that takes counts.csv
    return_by_prompt: str
    valid: str  # with the day
    tile: str
    plants: str
    remark: str
