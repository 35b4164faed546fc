"""The client's price list, species list and seedling inventory, with the quirks that DOMAIN describes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

CACTI = (
    *("Mammillaria", "Notocactus", "Gymnocalycium", "Lobivia", "Rebutia", "Matucana", "Trichocereus"),
    *("Echinocereus", "Copiapoa", "Eriosyce", "Astrophytum", "Ferocactus", "Melocactus", "Cleistocactus"),
    *("Haageocereus", "Parodia", "Opuntia", "Cereus", "Echinopsis", "Espostoa", "Hylocereus", "Pereskia"),
    *(
        "Rhipsalis",
        "Schlumbergera",
        "Epiphyllum",
        "Ariocarpus",
        "Turbinicarpus",
        "Thelocactus",
        "Stenocactus",
    ),
    *("Coryphantha", "Escobaria", "Frailea", "Sulcorebutia", "Weingartia", "Oroya", "Islaya", "Pilosocereus"),
    *("Browningia", "Myrtillocactus", "Oreocereus", "Tephrocactus", "Maihueniopsis"),
)
SUCCULENTS = (
    *("Crassula", "Echeveria", "Haworthia", "Sedum", "Lithops", "Adromischus", "Sempervivum", "Cotyledon"),
    *(
        "Pleiospilos",
        "Titanopsis",
        "Orbea",
        "Huernia",
        "Aloe",
        "Euphorbia",
        "Kalanchoe",
        "Gasteria",
        "Aeonium",
    ),
    *(
        "Faucaria",
        "Stapelia",
        "Graptopetalum",
        "Graptoveria",
        "Pachyphytum",
        "Senecio",
        "Othonna",
        "Ceropegia",
    ),
    *(
        "Portulacaria",
        "Anacampseros",
        "Lapidaria",
        "Fenestraria",
        "Conophytum",
        "Argyroderma",
        "Glottiphyllum",
    ),
    *(
        "Delosperma",
        "Lampranthus",
        "Oscularia",
        "Aptenia",
        "Bulbine",
        "Sansevieria",
        "Tylecodon",
        "Monanthes",
    ),
    *(
        "Orostachys",
        "Rosularia",
        "Villadia",
        "Dudleya",
        "Tacitus",
        "Pachyveria",
        "Sedeveria",
        "Hoya",
        "Dischidia",
    ),
    *("Pachypodium", "Adenium"),
)
_POTS = (
    *("SR8V 63", "SR5V 45", "SR8D 43", "CR8T 43", "CR8D 42", "SR8G 38", "CR5T 38", "CR5D 35", "SR5D 25"),
    *("SR8N 20", "CR8B 18", "SR8B 17", "SR8A 13", "CR8G 12", "CR8N 4", "CR8A 2"),
)
POTS = {line.split()[0]: int(line.split()[1]) for line in _POTS}
EPITHETS = ("alba", "rubra", "minor", "major", "elegans", "spinosa", "nana", "gracilis", "lutea", "crispa")


def write_price_list(folder: Path) -> Path:
    """99 CSV rows: 3 of header, 93 with data, 3 blank. UTF-8, LF, a line break in a heading."""
    rows: list[list[str]] = [
        ["LISTA DE PRECIOS MAYORISTA al 1_9_2025", *[""] * 7],
        ["Los precios no incluyen IVA", *[""] * 7],
        [
            "Descripción",
            "Maceta",
            "Precio",
            "Código",
            "Unid.X\nCajón",
            "Total Cajón",
            "Observaciones",
            "Disponibilidad",
        ],
    ]
    units = _repeat({1: 51, 24: 13, 12: 9, 45: 4, 28: 4, 5: 3, 6: 2, 40: 2, 10: 2, 20: 1})
    words = _repeat({"Stock Limitado": 68, "Todo el año": 20, "No disponible": 2, "Hasta agotar stock": 1})
    for place, (category, pot, code) in enumerate(_priced()):
        if place in (64, 87):
            rows.append([""] * 8)
        rows.append(
            [category, pot, *_terms(place, code, units[place]), "Mix" if place % 5 == 0 else "", words[place]]
        )
    rows.append([""] * 8)
    rows.append(["AGAVES", "Madres diferentes macetas", "", "M A G -1", "0", "$ 0", "consultar", "0"])
    offer = ["", "IR8-1.0-Hmix", "", "$ 48.27", "Mix, 1 por cajón", "OFERTA 20% DTO"]
    rows.append(["CACTUS", "R8 injertado", *offer])
    return _write(folder / "price_list.csv", rows)


def _priced() -> Iterable[tuple[str, str, str]]:
    """Category, pot and code of the 91 lines with a price; the codes spaced as people space them."""
    for n in range(1, 36):
        yield (
            "CACTUS",
            f"{'R8' if n <= 16 else 'R9' if n <= 28 else 'T11'} injertado",
            f"I {_graft(n)}-{n}.{n % 3}-HP",
        )
    colours = "TDGBANV"
    for n in range(28):
        pot = ("Rígida 5 cuadrada", "Rígida cuadrada 8 espec", "Maceta R9", "Termof 15/17")[n % 4]
        code = ("R5", "R8", "R9", "T15")[n % 4]
        yield "CACTUS", pot, f"C {code} {colours[n % 7]} -{n + 1}"
    for n in range(23):
        if n % 2:
            yield "SUCULENTAS", "Rígida 5 cuadrada", f"S R5 {colours[n % 7]}-{n + 1} ESP-1"
        else:
            yield "SUCULENTAS", "T11 violeta EEl", f"ST11 {colours[n % 7]}-{n + 1}"
    yield "AGAVES", "Soplada 3 LTS", "S 3L N-1"
    yield "AGAVES", "Soplada 10 LITROS", "S 10L N-1"
    yield "PIEDRA MATE", "Bolsa 1 LT", "P M -1"
    yield "PIEDRA MATE", "Bolsa 5 LITROS", "P M -5"
    yield "PIEDRA FLUO", "Bolsa 1 LT", "P F -1"


def _graft(number: int) -> str:
    return "R8" if number <= 16 else "R9" if number <= 28 else "T11"


def _terms(place: int, code: str, units: int) -> list[str]:
    """Unit price, code, units and total as the sheet shows them: thousands as decimals."""
    pesos = (950, 1050, 834, 7740, 264510, 878, 2490, 800, 3350)[place % 9]
    total = pesos * units + (units * 4 if pesos == 7740 else 0)  # 7,744 a piece, shown as 7,740
    shown = f"{total / 1000:.3f}".rstrip("0").rstrip(".")
    return [_shown(pesos), code, str(units), f"$ {shown if '.' in shown else f'{total / 1000:.1f}'}"]


def _shown(pesos: int) -> str:
    """950 is `$950`; 1,050 is `$1.05`; 264,510 is `$264.51`."""
    return f"${pesos}" if pesos < 1000 else f"${f'{pesos / 1000:.3f}'.rstrip('0')}"


def write_species_list(folder: Path) -> Path:
    """458 rows without header: pot code, genus, species; 128 spellings of 95 genera."""
    rows = [[pot, "", ""] for pot, times in POTS.items() for _ in range(times)]
    for letter, genera, many in (
        ("C", CACTI, {"Mammillaria": 43, "Notocactus": 25}),
        ("S", SUCCULENTS, {"Crassula": 36, "Echeveria": 29, "Haworthia": 23, "Sedum": 15}),
    ):
        own = [row for row in rows if row[0].startswith(letter)]
        names = _repeat(many)
        others = [genus for genus in genera if genus not in many]
        names += [others[place % len(others)] for place in range(len(own) - len(names))]
        for place, (row, genus) in enumerate(zip(own, sorted(names), strict=True)):
            row[1], row[2] = genus.lower(), f"{EPITHETS[place % 10]} {EPITHETS[place // 10 % 10]}"
    _dirty(rows)
    return _write(folder / "categories.csv", rows)


def _dirty(rows: list[list[str]]) -> None:
    """What people typed; each quirk on rows of its own, so that it can be counted."""
    seen: dict[str, int] = {}
    for row in rows:  # 33 genera have a second spelling: capital letters, a space at the end
        seen[row[1]] = seen.get(row[1], 0) + 1
        if seen[row[1]] == 2 and len([n for n in seen.values() if n >= 2]) <= 33:
            row[1] = f"{row[1].capitalize()} "
    plain = [row for row in rows if row[1].islower() and row[1] in ("mammillaria", "crassula", "echeveria")]
    for row in plain[:11]:
        row[2] += "?"
    for genus in ("adenium", "aeonium", "aloe", "cereus", "frailea", "oroya", "hoya"):
        *_, last = [row for row in rows if row[1] == genus]
        last[2] = ""
    plain[19][2], plain[20][2], plain[21][2], plain[22][2] = (
        "ver foto",
        "sp",
        "mix",
        "parecida a X 1 más amarilla",
    )
    for row in plain[24:27]:
        row[2] = plain[23][2]  # three exact repetitions
        row[0] = plain[23][0]
    *_, last = [row for row in rows if row[1] == "graptopetalum"]
    last[1] = "graptoperalum"
    *_, last = [row for row in rows if row[1] == "sempervivum"]
    last[1], last[2] = "sempervivum calcareum", ""


def write_inventory(folder: Path) -> Path:
    """1,336 rows of 13 columns, of which two are headers."""
    rows = [
        [
            "",
            "lugar",
            "cod",
            "género",
            "especie",
            "desc",
            "siembra",
            "band",
            "celdas",
            "1 sembrado",
            "1 dejar",
            "",
            "",
        ],
        ["", "", "", "", "", "", "", "", "", "2 repicado", "2 repicar", "3 pasar a maceta", ""],
    ]
    cells = _repeat(
        {
            "84": 522,
            "252": 358,
            "1000": 104,
            "300": 50,
            "180": 95,
            "50": 80,
            "30": 55,
            "500": 30,
            "100": 25,
            "126": 7,
        }
    )
    cells += ["25284", "253", "176.4", *[""] * 5]
    dates = _repeat({"dic'21": 279, "": 244, "mar'21": 174, "oct'20": 133, "gajo": 55, "gajo oct'23": 40})
    dates += ["no'20", "dice'22", "2018/19?"]
    states = _repeat({"1": 453, "35": 316, "38": 260, "2": 208, "311": 47, "engorde": 26, "5L-1": 8})
    states += ["mama", "mama?", "madres", "1 o 2", "ver"]
    for place in range(1334):
        letter = "" if place == 1333 else "C" if place < 1177 else "S"
        rows.append([letter, *_sowing(place, cells[place]), "", "", ""])
        row = rows[-1]
        row[6], row[10] = _at(dates, place, "ago'22"), _at(states, place, "1")
        row[11] = "x3pl" if place % 45 == 7 else "urge repique" if place % 100 == 3 else ""
    rows[2 + 50][11], rows[2 + 51][11], rows[2 + 52][11] = (
        "desconté 18 x bajas",
        "\U0001f926",
        "plant 3 per pot",
    )
    rows[2 + 60][12] = "168"
    for place in range(100, 104):
        rows[2 + place][3], rows[2 + place][4] = "lithops", "karasmontana"
    return _write(folder / "categories_2.csv", rows)


def _sowing(place: int, cells: str) -> list[str]:
    genera = CACTI if place < 1177 else SUCCULENTS
    genus = genera[(place * 5) % len(genera)].lower() + (" " if place % 9 == 0 else "")
    species = "" if 200 <= place < 498 else EPITHETS[place % 10]
    code = (f"{place:03d}-58", f"{place:03d}-x4", f"num{place}")[place % 3] if place < 378 else ""
    trays = "" if not cells else ("1", "2", "0.5", "3", "12", "1.5", "0.3", "7")[place % 8]
    if place == 900:
        trays = "278"
    return [PLACES[place % len(PLACES)], code, genus, species, "", "", trays, cells, str(1 + place % 2)]


PLACES = (
    *(f"M{house}c{bed}{side}" for house in range(1, 5) for bed in range(1, 5) for side in ("norte", "sur")),
    *("M6c1sur", "T1c1", "T1c2 ", "Túnel 2 c2", "T2c2", "T4c1", "T5c2", "Túnel A"),
    *("Somb 1 madres", "Somb C", "campo 2", "campo 3", "plugs sucus"),
)


def _at(values: Sequence[str], place: int, otherwise: str) -> str:
    return values[place] if place < len(values) else otherwise


def _repeat(times: dict[Any, int]) -> list[Any]:
    return [value for value, count in times.items() for _ in range(count)]


def _write(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path
