"""Which language a command speaks: the setting's, else that of the locale."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from demeter_cli import language
from demeter_cli.environment import language_wanted
from demeter_cli.main import app


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"LANG": "es_AR.UTF-8"}, "es"),
        ({"LANG": "es"}, "es"),
        ({"LANG": "est_EE.UTF-8"}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "es_AR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "es_ES.UTF-8"}, "es"),
        ({"LANG": "es_AR.UTF-8", "DEMETER_LANGUAGE": "en"}, "en"),
        ({"LANG": "C", "DEMETER_LANGUAGE": "es"}, "es"),
    ],
)
def test_the_setting_outranks_the_locale(
    variables: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language_wanted(None) == wanted


def test_the_settings_file_says_it_too(tmp_path: Path) -> None:
    file = tmp_path / "demeter.toml"
    file.write_text('language = "es"\n')
    assert language_wanted(file) == "es"


@pytest.mark.parametrize("content", ["language = 3\n", "language = \n", "[language]\n"])
def test_a_file_that_cannot_be_read_is_told_of_later(content: str, tmp_path: Path) -> None:
    file = tmp_path / "demeter.toml"
    file.write_text(content)
    assert language_wanted(file) == "en"
    refused = CliRunner().invoke(app, ["--config", str(file), "count", str(tmp_path)])
    assert refused.exit_code == 3


def test_a_language_that_nobody_speaks_is_refused_by_its_name() -> None:
    refused = CliRunner().invoke(app, ["count", "x.jpg"], env={"DEMETER_LANGUAGE": "fr"})
    assert refused.exit_code == 3
    assert language.chosen() == "en"
