"""Every text that people see has its Spanish, and the file that the program reads is the one people edit."""

from __future__ import annotations

import ast
import gettext
import io
import pickle
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from demeter_cli import language
from demeter_cli.language import _, n_, number, percent, speaking, told
from pipeline.words import Sentence
from tools import make_translations as translations

ROOT = Path(__file__).parents[1]


def test_every_marked_text_has_its_spanish_and_the_same_values() -> None:
    catalogue = translations.updated()
    assert len(catalogue) > 15
    assert list(translations.problems(catalogue)) == []


def test_no_translation_is_kept_of_a_text_that_is_gone() -> None:
    kept = {message.id for message in translations.kept() if message.id}
    assert kept - {message.id for message in translations.gathered() if message.id} == set()


def test_the_compiled_file_is_made_from_the_one_that_people_edit() -> None:
    compiled = translations.CATALOGUE.with_suffix(".mo").read_bytes()
    assert compiled == translations.compiled(translations.kept())


@pytest.mark.parametrize(
    ("spanish", "complaint"),
    [
        ("", "no Spanish"),
        ("fotos", "a value is missing"),
        ("{m} fotos de {n}", "other values"),
        ("{n fotos", "other values"),
    ],
)
def test_a_missing_or_wrong_translation_is_found(spanish: str, complaint: str) -> None:
    catalogue = translations.Catalog(locale="es_AR")
    catalogue.add("{n} photos", spanish)
    [problem] = translations.problems(catalogue)
    assert problem.startswith(complaint)


def test_what_is_compiled_can_be_read_back() -> None:
    read = gettext.GNUTranslations(io.BytesIO(translations.compiled(translations.kept())))
    assert read.gettext("Hand count") == "Conteo a mano"
    assert read.ngettext("{n} label in {files}", "{n} labels in {files}", 1).startswith("{n} etiqueta ")


def test_texts_and_numbers_follow_the_language_in_use() -> None:
    with speaking("es"):
        assert _("Hand count") == "Conteo a mano"
        assert _("a text that nobody translated") == "a text that nobody translated"
        assert n_("{n} label in {files}", "{n} labels in {files}", 2).startswith("{n} etiquetas ")
        assert (number(1234567), number(Decimal("-1234.56"), 2)) == ("1.234.567", "-1.234,56")
        assert percent(0.1234) == "12,3%"
        assert _("") == ""
    assert _("Hand count") == "Hand count"
    assert (number(1234.5, 1), percent(0.5, 0)) == ("1,234.5", "50%")


def test_an_unknown_language_is_english() -> None:
    with speaking("es"):
        with speaking("fr"):
            assert language.chosen() == "en"
        assert language.chosen() == "es"


def test_a_sentence_is_plain_english_until_it_is_told() -> None:
    inner = Sentence("To be returned before {day}.", day="1/2/2026")
    outer = Sentence("{what} {n}", what=inner, n=3)
    assert outer == "To be returned before 1/2/2026. 3"
    assert isinstance(outer, str)
    with speaking("es"):
        assert told(outer) == "Para entregar antes del 1/2/2026. 3"
        assert told("To be returned") == "To be returned"


def test_a_counted_sentence_agrees_with_its_number() -> None:
    one, many = (
        Sentence.counted("{n} label in {files}", "{n} labels in {files}", n, files="a.pdf") for n in (1, 2)
    )
    assert (one, many) == ("1 label in a.pdf", "2 labels in a.pdf")
    with speaking("es"):
        assert (told(one), told(many)) == ("1 etiqueta en a.pdf", "2 etiquetas en a.pdf")


def test_a_sentence_comes_whole_through_a_pipe() -> None:
    sent = Sentence.counted("{n} label in {files}", "{n} labels in {files}", 1, files=Sentence("Date"))
    came = pickle.loads(pickle.dumps(sent))
    assert came == sent
    with speaking("es"):
        assert told(came) == "1 etiqueta en Fecha"


# What administrators alone see, like logs, is English.
ADMINISTRATORS = {
    *("backing_up.py", "keeping.py"),
    *(f"commands/{name}.py" for name in ("database", "doctor", "model", "runs", "schedule", "seed")),
    *(f"commands/{name}.py" for name in ("backup", "maintain", "settings", "speed", "storage")),
    *("evaluation.py", "doctor.py", "doctor_database.py", "scheduling.py"),
}
SAYING = {"say", "say_beside", "tell", "confirm", "BadParameter"}


def test_every_text_that_a_screen_shows_is_marked() -> None:
    unmarked = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "demeter_cli").rglob("*.py"))
        if path.relative_to(ROOT / "demeter_cli").as_posix() not in ADMINISTRATORS
        for line in unmarked_lines(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert unmarked == []


@pytest.mark.parametrize(
    "source",
    [
        'output.say("Nothing stands there.")',
        'output.tell(f"{n} photos")',
        'output.say("done" if all_ else "not done")',
        'raise typer.BadParameter("say why")',
        'COLUMNS = {"place": "place"}',
        'columns |= {"size": "size"}',
        'output.print_table(rows, {"place": "place"})',
        'output.print_table(rows, columns, title=f"Stock of {day}")',
    ],
)
def test_every_way_to_show_an_unmarked_text_is_recognised(source: str) -> None:
    assert list(unmarked_lines(ast.parse(source))) == [1]


def test_no_text_is_marked_inside_an_f_string_where_it_would_not_be_gathered() -> None:
    lost = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("demeter_cli", "db", "pipeline")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for outer in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(outer, ast.JoinedStr)
        for node in ast.walk(outer)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in {"_", "n_", "N_", "Sentence"}
        and any(isinstance(given, ast.Constant) for given in node.args)
    ]
    assert lost == []


def unmarked_lines(tree: ast.AST) -> Iterator[int]:
    """Lines in which a text with words in it is shown as it stands."""
    for node in ast.walk(tree):
        shown: list[ast.expr] = []
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=args, keywords=named):
                if name in SAYING:
                    shown = args[:1]
                elif name == "print_table":
                    shown = [*args[1:2], *(one.value for one in named if one.arg in ("title", "columns"))]
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AugAssign(target=ast.Name(id=name), value=value)
            ) if name.lower().endswith("columns"):
                shown = [value]
        if any(is_bare(text) for text in shown):
            yield node.lineno


def is_bare(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str(text)):
            return re.search(r"[A-Za-z]{3,}", text) is not None
        case ast.JoinedStr(values=parts) | ast.Dict(values=parts):
            return any(is_bare(part) for part in parts if not isinstance(part, ast.FormattedValue))
        case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, right=other):
            return is_bare(one) or is_bare(other)
    return False
