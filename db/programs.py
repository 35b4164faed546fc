"""PostgreSQL's own client programs: those of our package, else of the PATH, if they know the server's
version.

A password goes to them in the environment, never on the command line, which everybody on the machine can
read.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from db.embedded_host import binaries
from db.engine import parse_address
from db.errors import DatabaseError, EmbeddedServerError

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with pg_dump, pg_restore and psql of one version."""

    folder: Path

    def run(self, program: str, *arguments: str) -> str:
        """What it says on stdout. Raises DatabaseError with its last words."""
        done = subprocess.run(
            [self.folder / program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            umask=0o077,
        )
        if done.returncode != 0:
            raise failed(program, done.stderr)
        return done.stdout.decode("utf-8", "replace")


@contextmanager
def login(address: str | URL) -> Iterator[str]:
    """How the programs are told where the database is, for as long as the context lasts."""
    url = parse_address(address)
    values = {name: one if isinstance(one, str) else ",".join(one) for name, one in url.query.items()}
    named = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database}
    values |= {name: str(value) for name, value in named.items() if value is not None}
    password = url.password or values.get("password")
    values.pop("password", None)
    with tempfile.TemporaryDirectory(prefix="demeter-") as folder:
        if password:
            file = Path(folder) / "pgpass"
            file.touch(0o600)
            escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
            file.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
            values["passfile"] = str(file)
        yield make_conninfo(**values)


def programs_for(server: int) -> Programs:
    """Programs that can read a server of this major version. Raises DatabaseError if there are none."""
    found = []
    with suppress(EmbeddedServerError):  # no package of this machine's kind
        found.append(binaries())
    if (other := shutil.which("pg_dump")) is not None:
        found.append(Path(other).parent)
    for folder in found:
        if _major(folder) >= server:
            return Programs(folder)
    raise DatabaseError(
        f"The server is PostgreSQL {server}, and there is no pg_dump of that version or a newer one here:"
        f" install the client programs of PostgreSQL {server} (on Debian postgresql-client-{server})."
    )


def failed(program: str, errors: bytes) -> DatabaseError:
    lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line for line in lines if "error:" in line.lower() or "fatal:" in line.lower()] or lines[-1:]
    why = (told[0] if told else "it gave no reason").strip()
    return DatabaseError(f"{program} did not work: {why}")


def _major(folder: Path) -> int:
    try:
        told = subprocess.run(
            [folder / "pg_dump", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    match = _VERSION.search(told)
    return int(match[1]) if match else 0
