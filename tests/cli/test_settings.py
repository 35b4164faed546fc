"""Where settings come from, and what is said when they are wrong."""

from __future__ import annotations

import pwd
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from demeter_cli.errors import ExitCode, SettingsError
from demeter_cli.settings import Settings, find_config, load_settings, shipped

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a folder of its own, without a demeter.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, path: str = "demeter.toml") -> Path:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    target.chmod(0o600)  # as one must be that holds a password
    return target


def complaint(config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    return str(caught.value)


def test_no_setting_is_needed() -> None:
    settings = load_settings()
    assert settings.tile == 512
    assert settings.database_url is None


def test_a_flag_outranks_a_variable_and_that_the_file_and_that_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings().workers_for(9, None) in (1, 2)
    write("workers = 3\ntile = 640")
    assert load_settings().workers_for(9, None) == 3
    monkeypatch.setenv("DEMETER_WORKERS", "5")
    assert load_settings().workers_for(9, None) == 5
    assert load_settings().workers_for(9, 0) == 0
    assert load_settings().tile == 640


def test_by_default_there_are_no_more_workers_than_photos() -> None:
    assert load_settings().workers_for(1, None) == 1


def test_the_file_is_looked_for_where_told_then_here_then_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_config(None) is None
    home = write("tile = 601", "home/demeter/demeter.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(Path("home").absolute()))
    assert load_settings().tile == 601
    write("tile = 602")
    assert load_settings().tile == 602
    monkeypatch.setenv("DEMETER_CONFIG", str(write("tile = 603", "elsewhere.toml")))
    assert load_settings().tile == 603
    assert load_settings(home).tile == 601


def test_without_xdg_the_file_at_home_is_in_dot_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write("tile = 604", ".config/demeter/demeter.toml")
    assert load_settings().tile == 604


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_file_that_was_named_and_is_missing_is_an_error(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Path("missing.toml")
    if how == "variable":
        monkeypatch.setenv("DEMETER_CONFIG", str(missing))
    assert "missing.toml does not exist" in complaint(missing if how == "flag" else None)


def test_a_misspelt_key_gets_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    write("overlapp = 0.3")
    assert "'overlapp' is no setting; did you mean overlap?" in complaint()
    write("")
    monkeypatch.setenv("DEMETER_WORKER", "2")
    assert "DEMETER_WORKER is no setting; did you mean DEMETER_WORKERS?" in complaint()


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    write("tile = 1\noverlap = 2.0\ncolour = 'green'")
    monkeypatch.setenv("DEMETER_WORKERS", "many")
    monkeypatch.setenv("DEMETER_NONSENSE_AT_ALL", "1")
    text = complaint()
    for word in ("tile", "overlap", "colour", "workers", "DEMETER_NONSENSE_AT_ALL"):
        assert word in text


@pytest.mark.parametrize(
    "content", [b"tile = ", b"tile = 1\ntile = 2", b"caf\xe9 = 1"], ids=["cut", "twice", "latin-1"]
)
def test_a_file_that_is_no_toml_is_an_error_that_names_it(content: bytes) -> None:
    Path("demeter.toml").write_bytes(content)
    assert re.search(r"demeter\.toml cannot be read", complaint())


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "", "America"])
def test_a_time_zone_that_does_not_exist_is_an_error(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMETER_TIMEZONE", zone)
    assert "is not a time zone like America/Argentina/Mendoza" in complaint()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tile", "63"),
        ("tile", "large"),
        ("overlap", "0.95"),
        ("overlap", "nan"),
        ("max_iou", "1"),
        ("min_score", "0"),
        ("max_megapixels", "0"),
        ("min_side", "0"),
        ("workers", "-1"),
        ("threads", "-1"),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_the_setting(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"DEMETER_{name.upper()}", value)
    assert f"the setting {name} cannot be '{value}'" in complaint()


def test_a_home_sign_is_expanded_and_relative_paths_become_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/of-somebody")
    write("data_dir = '~/books'\ndetector = 'mine/plant.json'")
    settings = load_settings()
    assert settings.data_dir == Path("/home/of-somebody/books")
    assert settings.detector == tmp_path / "mine/plant.json"


def nobody(_number: int) -> pwd.struct_passwd:
    raise KeyError


def test_a_user_without_a_home_needs_none_unless_a_path_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is started with a number in place of a user."""
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert load_settings().tile == 512
    monkeypatch.setenv("DEMETER_DATA_DIR", "~/books")
    assert "data_dir cannot be '~/books': value error, there is no home folder" in complaint()


def test_the_password_never_shows() -> None:
    write(f"database_url = 'postgresql://me:{SECRET}@host/db'")
    settings = load_settings()
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())
    assert settings.database_url is not None
    assert SECRET in settings.database_url.get_secret_value()


@pytest.mark.parametrize(
    "line",
    [
        f"database_url = ['postgresql://me:{SECRET}@host/db']",
        f"database_url = {{ password = '{SECRET}' }}",
        f"database_url = 'postgresql://me:{SECRET}@host/db'\ntile = 1",
        f"databse_url = 'postgresql://me:{SECRET}@host/db'",
    ],
    ids=["list", "table", "beside another problem", "misspelt"],
)
def test_the_password_never_shows_in_a_complaint(line: str) -> None:
    write(line)
    assert SECRET not in complaint()


def test_the_password_never_shows_when_a_misspelt_variable_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMETER_DATABASE", f"postgresql://me:{SECRET}@host/db")
    text = complaint()
    assert "DEMETER_DATABASE_URL" in text
    assert SECRET not in text


def test_settings_do_not_change_once_read() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.tile = 640  # type: ignore[misc]


def test_a_wrong_setting_ends_the_command_with_its_code_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-m", "demeter_cli.main", "count", "photo.jpg"],
        env={"DEMETER_TILE": "none", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.CONFIG
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "the setting tile cannot be 'none'" in done.stderr


def described() -> dict[str, tuple[str, bool]]:
    """Each setting of configs/demeter.toml: its line of TOML, and whether it is marked as unset."""
    text = shipped("configs/demeter.toml").read_text(encoding="utf-8")
    lines = re.findall(r"^# (\w+ = .+?)( +# unset)?$", text, re.MULTILINE)
    return {line.partition(" = ")[0]: (line, bool(unset)) for line, unset in lines}


def test_the_reference_file_changes_nothing_as_it_is() -> None:
    assert tomllib.loads(shipped("configs/demeter.toml").read_text(encoding="utf-8")) == {}


def test_the_reference_file_lists_every_setting_and_no_other() -> None:
    assert list(described()) == list(Settings.model_fields)


def test_the_reference_file_gives_the_true_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    # As an ordinary user: for root the data folder is another one, as the file says.
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    defaults = load_settings()
    unset = {name for name, (_, is_unset) in described().items() if is_unset}
    assert unset == {name for name in Settings.model_fields if getattr(defaults, name) is None}
    write("\n".join(line for line, is_unset in described().values() if not is_unset))
    assert load_settings().model_dump() == defaults.model_dump()


def test_the_values_shown_for_unset_settings_could_be_used() -> None:
    write("\n".join(line for line, is_unset in described().values() if is_unset))
    load_settings()
