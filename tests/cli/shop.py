"""Commands in this process, on a database of the test's own: quicker than a process each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from typer.testing import CliRunner

from db.engine import connect
from demeter_cli.main import app


@dataclass(frozen=True)
class Told:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Shop:
    url: str
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: object) -> Told:
        environment = {"DEMETER_DATABASE_URL": self.url, "COLUMNS": "120", **self.settings}
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Told(result.exit_code, result.stdout, result.stderr)

    def done(self, *arguments: object) -> Any:
        """Of a command that must work, what it prints as JSON."""
        told = self.run(*arguments, "--format", "json")
        assert told.code == 0, told.err
        return told.json

    @contextmanager
    def database(self) -> Iterator[Connection]:
        with connect(self.url) as connection, connection.begin():
            yield connection
