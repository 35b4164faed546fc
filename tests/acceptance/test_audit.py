"""demeter model audit, from the counted photos to a corrected count, as a supervisor does it."""

from __future__ import annotations

import csv
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.acceptance.conftest import EXAMPLES, Site

BED = "N01-NORTE-C05"
CODE_KEYS = ["audit", "tile", "plants", "remark"]


@pytest.fixture
def audited(site: Site) -> Site:
    """A site where four photos of one bed have been counted."""
    with Image.open(EXAMPLES / f"{BED}.jpg") as photo:
        for part in range(4):
            left, top = 500 * (part % 2), 350 + 300 * (part // 2)
            piece = photo.crop((left, top, left + 900, top + 550))
            piece.save(site.folder / f"part-{part}.jpg", quality=92, exif=photo.info["exif"])
    assert site.run("process", ".", "--place", BED, "--workers", "1").code == 0
    return site


def start(site: Site, *options: str) -> str:
    """Draw an audit; returns its code."""
    finished = site.run("model", "audit", "start", "--seed", "3", *options)
    assert finished.code == 0, finished.err
    return finished.out.partition(":")[0]


def tiles(site: Site, code: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.run("model", "audit", "show", code, "-f", "json").json["tile_counts"]
    return found


def fill(site: Site, code: str, plants: dict[int, str]) -> Path:
    """Write counts into the file that came with the sheet."""
    path = site.folder / code / "counts.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == CODE_KEYS
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, CODE_KEYS)
        writer.writeheader()
        writer.writerows(row | {"plants": plants.get(int(row["tile"]), "")} for row in rows)
    return path


def sized(site: Site, code: str) -> dict[int, str]:
    """Counts for every tile, by one who finds plants by the area of a frame: far more than the machine."""
    return {tile["tile"]: "25" for tile in tiles(site, code)}


def test_an_audit_from_the_drawing_to_a_corrected_count_and_back(audited: Site) -> None:
    code = start(audited)
    folder = audited.folder / code
    shown = audited.run("model", "audit", "show", code)

    assert (folder / "sheet.html").exists()
    assert len(list(folder.glob("tile-*.png"))) == len(tiles(audited, code)) == 30
    assert {tile["machine"] for tile in tiles(audited, code)} == {None}
    assert "shown once the hand counts are recorded" in shown.out
    refused = audited.run("model", "audit", "apply", code, "--yes")
    assert (refused.code, refused.out) == (9, "")
    assert "no hand counts yet" in refused.err
    # Sheets lie about in the working folder: their pictures are no photos.
    assert "part-0.jpg" in audited.run("process", ".", "--dry-run").out
    assert "tile-01" not in audited.run("process", ".", "--dry-run").out

    recorded = audited.run("model", "audit", "record", code, fill(audited, code, sized(audited, code)))
    assert recorded.code == 0, recorded.err
    assert "30 of 30 tiles are recorded" in recorded.out
    before = stock(audited)
    planned = audited.run("model", "audit", "apply", code, "--dry-run", "--force", "-f", "json")
    (bias,) = planned.json
    assert planned.code == 0
    assert bias["factor"] > 1.2
    assert audited.run("model", "audit", "list", "-f", "json").json[0]["status"] == "recorded"
    applied = audited.run("model", "audit", "apply", code, "--force", "--yes")
    assert applied.code == 0, applied.err
    assert stock(audited) == before

    with Image.open(EXAMPLES / f"{BED}.jpg") as photo:
        piece = photo.crop((100, 400, 1100, 1000))
        piece.save(audited.folder / "again.jpg", quality=92, exif=photo.info["exif"])
    counted = audited.run("process", "again.jpg", "--place", BED, "-f", "json").json
    (row,), (lot,) = counted["photos"], counted["stock"]
    assert row["total"] == row["seen"] + row["hidden"] + row["correction"]
    bed = row["main"]  # what is booked, and so what is corrected
    assert bed["total"] == bed["seen"] + bed["hidden"] + row["correction"]
    assert bed["total"] == pytest.approx((bed["seen"] + bed["hidden"]) * bias["factor"], abs=1)
    assert row["low"] <= row["total"] <= row["high"]
    assert (row["audit"], lot["audit"], lot["correction"]) == (code, code, row["correction"])
    report = audited.run("report", "stock")
    assert f"{row['correction']:+d}" in report.out
    assert f"corrected ×{bias['factor']:.3f} after {code}" in report.out

    assert audited.run("model", "audit", "withdraw", code, "--yes").code == 0
    again = audited.run("process", "part-0.jpg", "--place", BED, "--dry-run")
    assert again.code == 0
    assert stock(audited)["correction"] == row["correction"]  # what was booked stays


def stock(site: Site) -> dict[str, Any]:
    (row,) = site.run("report", "stock", "-f", "json").json
    return dict(row)


def test_a_file_with_absurd_rows_is_refused_whole_and_each_row_gets_a_sentence(audited: Site) -> None:
    code = start(audited)
    counts = sized(audited, code) | {2: "-4", 3: "many", 4: "9999", 5: "2.5"}
    path = fill(audited, code, counts)
    with path.open("a") as file:
        file.write(f"{code},77,3,\n{code},1,25,\nAUD-2020-01-01-01,6,3,\n")
    refused = audited.run("model", "audit", "record", code, path)

    assert (refused.code, refused.out) == (9, "")
    for line in (3, 4, 5, 6, 32, 33, 34):
        assert f"line {line}: " in refused.err
    assert "7 lines cannot be meant" in refused.err
    assert "Traceback" not in refused.err
    assert {tile["hand"] for tile in tiles(audited, code)} == {None}


def test_missing_rows_are_warned_of_and_too_many_of_them_refused(audited: Site) -> None:
    code = start(audited)
    counts = sized(audited, code)
    some = {number: counts[number] for number in range(1, 10)}
    refused = audited.run("model", "audit", "record", code, fill(audited, code, some))
    assert refused.code == 9
    assert "9 of 30 tiles are counted, and at least 10 are needed; nothing was saved" in refused.err
    assert {tile["hand"] for tile in tiles(audited, code)} == {None}

    path = fill(audited, code, counts | {7: "", 8: ""})
    recorded = audited.run("model", "audit", "record", code, path, "--by", "Ana")
    assert recorded.code == 0
    assert "2 tiles are blank and take no part: 7, 8." in recorded.err
    shown = tiles(audited, code)
    assert [tile["tile"] for tile in shown if tile["hand"] is None] == [7, 8]
    assert {tile["counted_by"] for tile in shown if tile["hand"] is not None} == {"Ana"}


def test_an_expired_audit_is_refused_and_named(audited: Site) -> None:
    code = start(audited)
    path = fill(audited, code, sized(audited, code))
    expire(audited, code)
    for command in (("record", code, path), ("apply", code, "--yes")):
        refused = audited.run("model", "audit", *command)
        assert (refused.code, refused.out) == (9, "")
        assert "expired on" in refused.err
        assert "start another audit" in refused.err
    assert audited.run("model", "audit", "list", "-f", "json").json[0]["status"] == "expired"


def expire(site: Site, code: str) -> None:
    """Let time pass."""
    from sqlalchemy import text

    from db.engine import connect

    with connect(site.settings["DEMETER_DATABASE_URL"]) as connection, connection.begin():
        connection.execute(
            text(
                "UPDATE audits SET created_at = created_at - interval '121 days',"
                " expires_at = expires_at - interval '121 days' WHERE code = :code"
            ),
            {"code": code},
        )


WRONG = (
    (("start", "--product", "NO-SUCH-001"), 2, "no booked photo"),
    (("start", "--since", "yesterday"), 2, "no day like"),
    (("start", "--tiles", "9"), 9, "at least 10"),
    (("start", "--tiles", "0"), 2, "--tiles"),
    (("start", "--lang", "fr"), 2, "fr"),
    (("start", "--out", "."), 5, "holds photos"),
    (("show", "AUD-1"), 2, "audit list"),
    (("record", "AUD-1", "nowhere.csv"), 2, "nowhere.csv"),
    (("record", "AUD-1"), 2, "name the file"),
    (("withdraw", "AUD-1"), 2, "there is no audit"),
)


def test_a_wrong_argument_gets_a_sentence_and_nothing_is_kept(audited: Site) -> None:
    for arguments, code, words in WRONG:
        finished = audited.run("model", "audit", *arguments)
        assert (finished.code, finished.out) == (code, ""), arguments
        assert words in " ".join(finished.err.split())
        assert "Traceback" not in finished.err
    assert audited.run("model", "audit", "list", "-f", "json").json == []


def test_prompts_ask_tile_by_tile_and_go_on_where_they_were_stopped(audited: Site) -> None:
    code = start(audited)
    stopped, told = at_a_terminal(
        audited, ["model", "audit", "record", code], ["25", "x", "25", "25"], stop=True
    )
    assert stopped == 130
    assert "'x' is no number" in told
    assert sum(tile["hand"] is not None for tile in tiles(audited, code)) == 3

    finished, told = at_a_terminal(
        audited, ["model", "audit", "record", code, "--by", "Ana"], ["25"] * 26 + [""], stop=False
    )
    assert finished == 0, told
    assert "one tile is blank" in told
    assert "29 of 30 tiles are recorded" in told


def at_a_terminal(site: Site, arguments: list[str], answers: list[str], *, stop: bool) -> tuple[int, str]:
    """Run a command at a terminal of its own, answer each question as it comes, and press Ctrl-C at the next
    one if told so. Returns the exit code and all that was shown."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "demeter_cli.main", *arguments],
        env=site.environment,
        cwd=site.folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown, asked = "", 0
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 1.0)[0]:
            if stop and asked > len(answers):  # pressed in the instant before the program began to listen
                process.send_signal(signal.SIGINT)
            continue
        try:
            shown += os.read(master, 4096).decode("utf-8", "replace")
        except OSError:  # the program has closed its end
            break
        while shown.count("): ") > asked:
            if asked < len(answers):
                os.write(master, f"{answers[asked]}\n".encode())
            elif stop:
                process.send_signal(signal.SIGINT)
            asked += 1
    if process.poll() is None and time.monotonic() >= deadline:
        process.kill()
    os.close(master)
    return process.wait(timeout=60), shown


def test_the_same_seed_draws_the_same_sheet_and_a_lost_one_is_written_again(audited: Site) -> None:
    first, second = start(audited), start(audited)
    again = audited.run("model", "audit", "sheet", first, "--out", "again", "--lang", "es")

    frames = [[tile["frame"] for tile in tiles(audited, code)] for code in (first, second)]
    assert frames[0] == frames[1]
    assert again.code == 0
    pictures = [
        {path.name: path.read_bytes() for path in (audited.folder / name).glob("*.png")}
        for name in (first, second, "again")
    ]
    assert pictures[0] == pictures[1] == pictures[2]
    assert "Conteo a mano" in (audited.folder / "again" / "sheet.html").read_text(encoding="utf-8")
