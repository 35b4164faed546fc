"""What an audit's sheet says, in the languages of those who count."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Language(StrEnum):
    EN = "en"
    ES = "es"


@dataclass(frozen=True, slots=True)
class Words:
    """Every text on a sheet. `columns` head the file of counts: audit, tile, plants, remark."""

    title: str
    name: str
    date: str
    rules: tuple[str, ...]
    return_by_file: str  # before and after the name of the file and the command
    return_by_prompt: str
    valid: str
    tile: str
    plants: str
    remark: str
    columns: tuple[str, str, str, str]
    delimiter: str  # what a spreadsheet of that language takes for the end of a cell


WORDS = {
    Language.EN: Words(
        title="Hand count",
        name="Counted by",
        date="Date",
        rules=(
            "Count the living plants in the bright part of each picture, inside the black and white frame.",
            "A plant on the edge of the frame counts if its middle lies inside.",
            "A plant counts too that others hide, if you are sure of it. Empty pots and dead plants do not.",
            "No plant at all is a count: write 0. Leave a picture blank if you cannot tell.",
            "Nobody's number is right beforehand, least of all the machine's: do not ask it first.",
        ),
        return_by_file="Then type the numbers into counts.csv and run",
        return_by_prompt="or let the program ask you, picture by picture:",
        valid="To be returned before",
        tile="Picture",
        plants="Plants",
        remark="Remark",
        columns=("audit", "tile", "plants", "remark"),
        delimiter=",",
    ),
    Language.ES: Words(
        title="Conteo a mano",
        name="Contado por",
        date="Fecha",
        rules=(
            "Cuente las plantas vivas en la parte clara de cada imagen, dentro del marco negro y blanco.",
            "Una planta sobre el borde del marco cuenta si su centro queda adentro.",
            "También cuenta una planta tapada, si está seguro. Las macetas vacías y las plantas muertas no.",
            "Ninguna planta también es un conteo: escriba 0. Deje en blanco la imagen si no se distingue.",
            "Ningún número vale de antemano, y menos el de la máquina: no lo consulte antes.",
        ),
        return_by_file="Después escriba los números en counts.csv y ejecute",
        return_by_prompt="o deje que el programa pregunte imagen por imagen:",
        valid="Entregar antes del",
        tile="Imagen",
        plants="Plantas",
        remark="Observación",
        columns=("auditoria", "imagen", "plantas", "observacion"),
        delimiter=";",
    ),
}
