"""Units that are printed: valid to systemd, right for cron, with this machine's paths in them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from demeter_cli.main import app
from demeter_cli.scheduling import Here, cron, systemd
from demeter_cli.settings import shipped

ODD = Here(Path("/opt/my demeter/bin/demeter"), "ana", Path("/data/50% full"), Path("/srv/the $new photos"))


def commands(text: str) -> list[list[str]]:
    """Every call of demeter in a text, as words."""
    found = re.findall(r"(?:demeter/bin/demeter|bin/demeter[\"']?) ([a-z][^|\n]*)", text)
    return [shlex.split(line.replace(r"\%", "%")) for line in found]


def test_what_is_scheduled_are_commands_that_there_are() -> None:
    units = [shipped("configs/cron/demeter"), *shipped("configs/systemd").glob("*.service")]
    called = {tuple(words) for unit in units for words in commands(unit.read_text(encoding="utf-8"))}
    assert ("doctor", "--quick", "--quiet") in called
    assert ("process", "--quiet", "--wait", "3600", "/srv/photos") in called
    for words in called - {words for words in called if words[0] in ("db", "schedule")}:
        command = get_command(app).get_command(None, words[0])
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_crontab_lines_survive_paths_with_spaces_and_percent_signs() -> None:
    lines = cron(ODD).text.splitlines()
    (line,) = [line for line in lines if " process " in line and not line.startswith("#")]
    assert line.split()[5] == "ana"
    command = line.split(" ana ", 1)[1].partition(" || ")[0]
    # As cron does: up to the first % that is not escaped, for the shell.
    assert not re.search(r"(?<!\\)%", command)
    words = shlex.split(command.replace(r"\%", "%"))
    assert words == [str(ODD.program), "process", "--quiet", "--wait", "3600", "/srv/the $new photos"]
    assert "DEMETER_DATA_DIR=/data/50% full" in lines
    assert "/data/50\\% full/backups" in cron(ODD).text


def test_the_shipped_units_are_what_a_machine_with_their_paths_prints() -> None:
    plain = Here(Path("/opt/demeter/bin/demeter"), "demeter", Path("/var/lib/demeter"), Path("/srv/photos"))
    assert cron(plain).text == shipped("configs/cron/demeter").read_text(encoding="utf-8")
    for unit in systemd(plain):
        shown = [line for line in unit.text.splitlines() if not line.startswith("Documentation=")]
        kept = shipped(f"configs/systemd/{unit.name}").read_text(encoding="utf-8").splitlines()
        assert shown == [line for line in kept if not line.startswith("Documentation=")]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("machine", [ODD, Here(Path("/bin/true"), "root", Path("/tmp"), Path("/srv/photos"))])
def test_systemd_takes_the_units(tmp_path: Path, machine: Here) -> None:
    (tmp_path / "my demeter").mkdir()
    program = tmp_path / "my demeter" / "demeter"
    program.symlink_to("/bin/true")
    here = Here(program, "root", machine.data_dir, machine.photos)
    units = systemd(here)
    assert len(units) == 7
    for unit in units:
        (tmp_path / unit.name.replace("@", "@x")).write_text(unit.text, encoding="utf-8")
    files = sorted(tmp_path.glob("demeter*.*"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_no_unit_forbids_what_the_networks_need_and_each_that_can_fail_says_so() -> None:
    for path in shipped("configs/systemd").glob("*.service"):
        text = path.read_text(encoding="utf-8")
        assert not re.search("^MemoryDenyWriteExecute", text, re.MULTILINE)  # OpenVINO compiles at run time
        assert "NoNewPrivileges=yes" in text
        assert "ProtectSystem=strict" in text
        assert "OnFailure=" in text or "failure" in path.name
