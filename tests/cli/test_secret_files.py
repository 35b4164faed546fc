"""Secrets in files: who may read them, and that nobody is told what they hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from demeter_cli.errors import SettingsError
from demeter_cli.secret_files import shown
from demeter_cli.settings import load_settings, origins

SECRET = "geheim-4711"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n", encoding="utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("DEMETER_SMTP_PASSWORD_FILE", str(path))
    return path


def refusal() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_a_file_that_few_may_read_gives_the_secret(file: Path, mode: int) -> None:
    file.chmod(mode)
    password = load_settings().smtp_password
    assert password is not None
    assert password.get_secret_value() == SECRET


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o606, 0o660, 0o602])
def test_a_file_that_others_may_read_or_change_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert f"`chmod 600 {file}`" in refusal()


def test_a_missing_an_empty_and_a_binary_file_are_refused(file: Path) -> None:
    file.write_bytes(b" \n")
    assert "is empty" in refusal()
    file.write_bytes(b"\xff\xfe")
    assert "no text" in refusal()
    file.unlink()
    assert "no such file" in refusal()


def test_a_secret_given_twice_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMETER_SMTP_PASSWORD", "another")
    assert "both set" in refusal()


def test_only_secrets_may_be_given_by_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMETER_TILE_FILE", str(file))
    assert "DEMETER_TILE_FILE is no setting" in refusal()


def test_a_settings_file_with_a_password_must_not_be_read_by_everybody(tmp_path: Path, file: Path) -> None:
    toml = tmp_path / "demeter.toml"
    toml.write_text(f'database_url = "postgresql://me:{SECRET}@host/db"\n', encoding="utf-8")
    toml.chmod(0o644)
    assert f"`chmod 600 {toml}`" in refusal()
    toml.chmod(0o600)
    assert load_settings().database_url
    toml.write_text('database_url = "postgresql:///db"\ntile = 640\n', encoding="utf-8")
    toml.chmod(0o644)
    assert load_settings().tile == 640


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        (f"postgresql://me:{SECRET}@host:5432/db?password={SECRET}", "postgresql://me@host:5432/db"),
        (f"https://hc-ping.com/{SECRET}", "https://hc-ping.com/***"),
        (f"https://u:{SECRET}@chat/hook?token={SECRET}", "https://chat/***"),
        (SECRET, "***"),
        (f"postgresql://me:{SECRET}@[broken", "***"),
    ],
)
def test_what_is_shown_of_a_secret(secret: str, told: str) -> None:
    assert shown(SecretStr(secret)) == told


def test_every_setting_says_where_it_comes_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("demeter.toml").write_text("tile = 640\noverlap = 0.3\n", encoding="utf-8")
    monkeypatch.setenv("DEMETER_OVERLAP", "0.4")
    found = {one.name: one for one in origins(None)}
    assert found["tile"].source.endswith("demeter.toml")
    assert (found["overlap"].source, found["overlap"].value) == ("DEMETER_OVERLAP", "0.4")
    assert found["smtp_password"].source == f"DEMETER_SMTP_PASSWORD_FILE, {file}"
    assert found["merge"].source == "default"
    assert not [one for one in found.values() if SECRET in one.value]
