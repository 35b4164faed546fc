"""Genera and species as people write them, and the client's list of saleable species by pot.

The list has no header: pot code, genus, species. The colour of a pot stands for a group of prices, so the pot
codes are kept with the product (`custom_attributes.pot_codes`).
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, insert, select, update

from db.errors import UnreadableFile
from db.imports.pots import parse_pot
from db.imports.read import ReadFile, Row
from db.imports.staging import Judged
from db.imports.words import clean, fold, key
from db.models.catalog import Product, ProductCategory, ProductFamily
from db.models.imports import ImportAlias
from db.models.vocabulary import AliasKind

CATEGORIES = {"C": "CACTUS", "S": "SUCULENTA"}
_SURE = 0.88  # likeness of two spellings of one genus: mamillaria is Mammillaria, graptoperalum is nothing
_NO_SPECIES = {"", "sp", "spp", "verfoto", "varias", "varios"}


@dataclass(frozen=True, slots=True)
class Taxon:
    """A genus of a category and a species of it; `species` is "" for any, "mix" for several."""

    category: str
    genus: str
    species: str

    @property
    def name(self) -> str:
        return f"{self.genus} {self.species or 'sp.'}"


@dataclass(slots=True)
class Taxonomy:
    """The catalogue's genera and products, and the aliases; grows while a file is loaded."""

    categories: Mapping[str, int]
    families: dict[str, tuple[int, str, str]]  # by key of the name: id, category, name
    products: dict[tuple[int, str], str]  # by family and key of the name: SKU
    aliases: Mapping[tuple[str, str], str]
    frequent: frozenset[str] = frozenset()  # keys of genera that the file itself names more than once
    new_genera: list[str] = field(default_factory=list)
    new_products: int = 0

    @staticmethod
    def load(connection: Connection) -> Taxonomy:
        categories = connection.execute(select(ProductCategory.code, ProductCategory.id)).all()
        codes = {row.id: row.code for row in categories}
        families = connection.execute(select(ProductFamily.id, ProductFamily.category_id, ProductFamily.name))
        products = connection.execute(
            select(Product.family_id, Product.common_name, Product.scientific_name, Product.sku).order_by(
                Product.id.desc()
            )
        )
        known: dict[tuple[int, str], str] = {}
        for row in products:
            for name in (row.scientific_name, row.common_name):
                if name:
                    known[row.family_id, key(name)] = row.sku
        aliases = connection.execute(select(ImportAlias.kind, ImportAlias.alias, ImportAlias.name))
        return Taxonomy(
            {row.code: row.id for row in categories},
            {
                key(row.name): (row.id, codes[row.category_id], row.name)
                for row in families
                if row.name != "Mix"
            },
            known,
            {(kind, alias): name for kind, alias, name in aliases},
        )

    def genus(self, text: str, category: str) -> tuple[str, str, list[str]]:
        """Its category and its name as the catalogue writes it, and what was mended. Raises ValueError."""
        words, fixes = clean(text), []
        if "?" in words:
            words, fixes = clean(words.replace("?", "")), [f"{clean(text)!r} is doubtful"]
        if not re.search(r"[^\W\d]{2}", words):
            raise ValueError(f"names no genus: {text!r}")
        alias = self.aliases.get((AliasKind.GENUS, key(words)))
        if alias is not None:
            fixes.append(f"{words!r} is an alias of {alias}")
            words = alias
        known = self.families.get(key(words)) or self._like(words, fixes)
        if known is None:
            return category, words.capitalize(), fixes
        _, of_genus, name = known
        if of_genus != category:
            fixes.append(f"{name} belongs to {of_genus}, not to {category}")
        return of_genus, name, fixes

    def _like(self, words: str, fixes: list[str]) -> tuple[int, str, str] | None:
        if key(words) in self.frequent:
            return None  # a genus that the catalogue lacks, not a slip
        near = difflib.get_close_matches(key(words), list(self.families), n=2, cutoff=_SURE)
        if len(near) != 1:
            return None
        found = self.families[near[0]]
        fixes.append(f"{words!r} read as {found[2]}")
        return found


def taxon_of(taxonomy: Taxonomy, category: str, genus: str, species: str) -> tuple[Taxon, list[str]]:
    """What a row names, and what had to be mended in it. Raises ValueError."""
    first, _, rest = clean(genus).partition(" ")
    moved = []
    if rest and not species and key(first) in taxonomy.families:
        genus, species = first, rest
        moved = [f"the species {rest!r} stood in the column of the genus"]
    if key(genus) == "mix":
        return Taxon(category, "Mix", "mix"), []
    of_genus, name, fixes = taxonomy.genus(genus, category)
    words = fold(species)
    if "?" in words:
        words = clean(words.replace("?", ""))
        fixes.append(f"species {clean(species)!r} is doubtful")
    if key(words) == "verfoto":
        raise ValueError(f"names no species: {clean(species)!r} refers to a photo")
    words = taxonomy.aliases.get((AliasKind.SPECIES, key(f"{name} {words}")), words)
    if key(words) in _NO_SPECIES:
        words = ""
    elif key(words) in {"mix", "mezcla"}:
        words = "mix"
    return Taxon(of_genus, name, words), [*moved, *fixes]


def expect(connection: Connection, taxonomy: Taxonomy, named: Iterable[tuple[str, str]]) -> None:
    """Add the genera that a file names again and again, so that a slip in one row is seen as such.

    `named` are pairs of category and genus as written, one for each row.
    """
    seen: dict[str, Counter[tuple[str, str]]] = {}
    for category, text in named:
        word = clean(text)
        if re.fullmatch(r"[^\W\d]{4,}", word):
            seen.setdefault(key(word), Counter())[category, word.capitalize()] += 1
    taxonomy.frequent = frozenset(name for name, spelt in seen.items() if spelt.total() > 1)
    aliased = {alias for kind, alias in taxonomy.aliases if kind == AliasKind.GENUS}
    for name in sorted(taxonomy.frequent - taxonomy.families.keys() - aliased - {"mix"}):
        [((category, genus), _)] = seen[name].most_common(1)
        _ensure_family(connection, taxonomy, Taxon(category, genus, ""))


def ensure_product(connection: Connection, taxonomy: Taxonomy, taxon: Taxon) -> str:
    """The SKU of the product, added with its genus where the catalogue lacks it. Raises ValueError."""
    if taxon.genus == "Mix":
        sku = connection.scalar(select(Product.sku).where(Product.sku == f"{taxon.category[:3]}-MIX-001"))
        if sku is None:
            raise ValueError(f"the catalogue has no mix of {taxon.category}")
        return sku
    family = _ensure_family(connection, taxonomy, taxon)
    for name in (taxon.name, f"{taxon.genus} {taxon.species}"):
        if (family, key(name)) in taxonomy.products:
            return taxonomy.products[family, key(name)]
    sku = _free_sku(connection, family, taxon)
    scientific = taxon.name if re.fullmatch(r"[a-z]+", taxon.species) and taxon.species != "mix" else None
    values = {"family_id": family, "sku": sku, "common_name": taxon.name, "scientific_name": scientific}
    connection.execute(insert(Product).values(values))
    taxonomy.products[family, key(taxon.name)] = sku
    taxonomy.new_products += 1
    return sku


def _ensure_family(connection: Connection, taxonomy: Taxonomy, taxon: Taxon) -> int:
    known = taxonomy.families.get(key(taxon.genus))
    if known is not None:
        return known[0]
    values = {"category_id": taxonomy.categories[taxon.category], "name": taxon.genus}
    values["scientific_name"] = taxon.genus
    family = connection.execute(insert(ProductFamily).values(values).returning(ProductFamily.id)).scalar_one()
    taxonomy.families[key(taxon.genus)] = (family, taxon.category, taxon.genus)
    taxonomy.new_genera.append(taxon.genus)
    return int(family)


def _free_sku(connection: Connection, family: int, taxon: Taxon) -> str:
    """`MAM-BOC-001`: three letters of the genus that no other genus has, of the species, and a number."""
    rows = connection.execute(select(Product.family_id, Product.sku)).all()
    taken = {row.sku.partition("-")[0]: row.family_id for row in reversed(rows)}
    own = [row.sku.partition("-")[0] for row in rows if row.family_id == family]
    prefix = own[0] if own else next(each for each in _prefixes(taxon.genus) if each not in taken)
    middle = key(taxon.species)[:3].upper() or "SP"
    middle = "".join(char for char in middle if char.isascii()) or "SP"
    skus = {row.sku for row in rows}
    return next(sku for n in range(1, 1000) if (sku := f"{prefix}-{middle}-{n:03d}") not in skus)


def _prefixes(genus: str) -> Iterator[str]:
    letters = [char for char in key(genus).upper() if char.isascii() and char.isalpha()] + ["X", "X"]
    for third in letters[2:]:
        yield letters[0] + letters[1] + third
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        for middle in letters[1:]:
            yield letters[0] + middle + last


@dataclass(frozen=True, slots=True)
class _Read:
    judged: Judged
    pot: str
    taxon: Taxon | None


def load_species(connection: Connection, file: ReadFile) -> tuple[list[Judged], list[str]]:
    """Write the list in the caller's transaction; a verdict per row, and notes. Raises UnreadableFile."""
    rows = [row for row in file.rows if not row.is_blank]
    if parse_pot(rows[0].cells[0]) is None:
        raise UnreadableFile(
            f"{file.path}, line {rows[0].line} begins with {rows[0].cells[0]!r}, which is no pot code like "
            "SR8V: the list has no header, and its columns are pot code, genus and species."
        )
    taxonomy = Taxonomy.load(connection)
    expect(connection, taxonomy, _genera(rows))
    codes: dict[str, list[str]] = {}
    judged = []
    for each in _read_list(file, taxonomy):
        verdict = each.judged
        if each.taxon is not None:
            sku = ensure_product(connection, taxonomy, each.taxon)
            codes.setdefault(sku, []).append(each.pot)
            verdict = Judged(verdict.line, verdict.raw, verdict.fields, verdict.verdict, verdict.reason, sku)
        judged.append(verdict)
    _remember_pots(connection, codes)
    return judged, taxonomy_notes(taxonomy)


def _genera(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    for row in rows:
        pot = parse_pot(row.cells[0])
        if pot is not None and pot.group in CATEGORIES and len(row.cells) > 1:
            yield CATEGORIES[pot.group], row.cells[1]


def _read_list(file: ReadFile, taxonomy: Taxonomy) -> list[_Read]:
    found: list[_Read] = []
    lines: dict[tuple[str, str, str], int] = {}
    for row in (row for row in file.rows if not row.is_blank):
        cells = [clean(cell) for cell in (*row.cells, "", "")]
        verdict = Judged(row.line, row.raw, {"pot": cells[0], "genus": cells[1], "species": cells[2]})
        pot = parse_pot(cells[0])
        try:
            if len(row.cells) < 2:
                raise ValueError(f"has {len(row.cells)} cells where the list has 3")
            if pot is None or pot.group not in CATEGORIES or not pot.colour:
                raise ValueError(f"begins with no pot code like SR8V: {cells[0]!r}")
            taxon, fixes = taxon_of(taxonomy, CATEGORIES[pot.group], cells[1], cells[2])
        except ValueError as error:
            found.append(_Read(verdict.rejected(str(error)), "", None))
            continue
        same = (cells[0].upper(), fold(cells[1]), fold(cells[2]))
        if same in lines:
            fixes = [f"repeats line {lines[same]}", *fixes]
        lines.setdefault(same, row.line)
        found.append(_Read(verdict.fixed(*fixes), f"{pot.group}{pot.pot}{pot.colour}", taxon))
    return found


def _remember_pots(connection: Connection, codes: Mapping[str, Sequence[str]]) -> None:
    """In which pots, and so at which prices, a product is sold; earlier lists are added to."""
    rows = connection.execute(select(Product.sku, Product.custom_attributes))
    held = {row.sku: row.custom_attributes for row in rows}
    for sku, pots in codes.items():
        before = held[sku].get("pot_codes", [])
        after = sorted({*before, *pots})
        if after != before:
            attributes = {**held[sku], "pot_codes": after}
            connection.execute(
                update(Product)
                .where(Product.sku == sku)
                .values(custom_attributes=attributes, updated_at=func.now())
            )


def taxonomy_notes(taxonomy: Taxonomy) -> list[str]:
    notes = [f"{taxonomy.new_products} new products"] if taxonomy.new_products else []
    if taxonomy.new_genera:
        notes.append(f"{len(taxonomy.new_genera)} new genera: {', '.join(sorted(taxonomy.new_genera))}")
    return notes
