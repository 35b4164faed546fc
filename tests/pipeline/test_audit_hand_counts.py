"""Files of hand counts, as spreadsheets and people make them."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.hand_counts import Answer, Answers, most_plausible, parse_plants, read_answers

CODE = "AUD-2026-11-24-01"
MOST = dict.fromkeys(range(1, 13), 200)


def read(text: str) -> Answers:
    return read_answers(text.encode(), CODE, MOST)


def plants(answers: Answers) -> dict[int, int]:
    assert answers.complaints == ()
    return {answer.tile: answer.plants for answer in answers.read}


@pytest.mark.parametrize(
    "data",
    [
        b"audit,tile,plants,remark\nAUD-2026-11-24-01,1,12,\nAUD-2026-11-24-01,2,0,\n",
        b"audit;tile;plants;remark\r\nAUD-2026-11-24-01;1;12;\r\nAUD-2026-11-24-01;2;0;\r\n",
        b"\xef\xbb\xbfaudit;tile;plants;remark\r\naud-2026-11-24-01;1;12,0;\r\n;2;0;\r\n;;;\r\n;;;\r\n",
        b"sep=;\r\nauditoria;imagen;plantas;observacion\r\nAUD-2026-11-24-01;1;12;\r\nAUD-2026-11-24-01;2;0;\r\n\r\n",
        codecs.BOM_UTF16_LE + "audit\ttile\tplants\tremark\r\n\t1\t12\t\r\n\t2\t0\t\r\n".encode("utf-16-le"),
        b"AUD-2026-11-24-01,1,12\nAUD-2026-11-24-01,2,0",
        b'"AUD-2026-11-24-01","1","12.0",""\n"AUD-2026-11-24-01","2"," 0 ",""\n',
        b",1,12,,,,\n,2,0,,,,\n",
    ],
    ids=["ours", "semicolons", "BOM", "sep", "UTF-16", "bare", "quotes", "wide"],
)
def test_counts_are_read_from_whatever_a_spreadsheet_saves(data: bytes) -> None:
    assert plants(read_answers(data, CODE, MOST)) == {1: 12, 2: 0}


def test_remarks_are_kept_in_the_encoding_of_windows_too() -> None:
    text = "auditoria;imagen;plantas;observacion\r\n;3;7;dos dañadas\r\n"
    for encoding in ("utf-8", "cp1252"):
        assert read_answers(text.encode(encoding), CODE, MOST).read == (Answer(3, 7, "dos dañadas"),)


def test_an_empty_count_is_no_count() -> None:
    answers = read("audit,tile,plants,remark\n,1,,too dark\n,2,5,\n")

    assert answers.blank == (1,)
    assert plants(answers) == {2: 5}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (",1,-3,", "tile 1: -3 plants is less than none"),
        (",1,twelve,", "tile 1: 'twelve' is no number"),
        (",1,=A1,", "tile 1: '=A1' is no number"),
        (',1,"12,5",', "tile 1: 12,5 plants is no whole number"),
        (",1,201,", "tile 1: 201 plants do not fit"),
        (",1,1e9,", "tile 1: '1e9' is no number"),
        (",99,3,", "there is no tile 99; the sheet has 12"),
        (",0,3,", "there is no tile 0"),
        (",,3,", "'' is no tile"),
        (",one,3,", "'one' is no tile"),
        ("AUD-2026-11-24-02,1,3,", "belongs to audit 'AUD-2026-11-24-02'"),
        (",5,3,", "tile 5 was already in line 2"),
        (",1,3,a,b", "tile 1: more cells than columns"),
    ],
)
def test_a_row_that_cannot_be_meant_gets_a_sentence_with_its_line(row: str, words: str) -> None:
    answers = read(f"audit,tile,plants,remark\n,5,3,\n{row}\n,6,4,\n")

    ((line, sentence),) = answers.complaints
    assert line == 3
    assert words in sentence


def test_every_bad_row_is_told_at_once() -> None:
    answers = read("audit,tile,plants,remark\n,1,x,\n,2,3,\n,3,-1,\n,2,3,\n")

    assert [line for line, _ in answers.complaints] == [2, 4, 5]


@given(st.binary(max_size=300))
def test_no_file_whatever_it_holds_gives_counts_beyond_what_is_plausible(data: bytes) -> None:
    answers = read_answers(data, CODE, MOST)

    tiles = [answer.tile for answer in answers.read] + list(answers.blank)
    assert len(tiles) == len(set(tiles))
    assert set(tiles) <= set(MOST)
    assert all(0 <= answer.plants <= 200 for answer in answers.read)


@given(st.text(max_size=12))
def test_what_is_typed_is_a_count_or_gets_a_sentence(text: str) -> None:
    try:
        assert 0 <= parse_plants(text, 200) <= 200
    except ValueError as error:
        assert len(str(error)) > 10


def test_what_is_plausible_does_not_give_the_number_of_the_machine_away() -> None:
    assert {most_plausible(expected) for expected in (0.0, 7.3, 19.9)} == {200}
    assert most_plausible(31.0) == 310
