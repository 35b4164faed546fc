"""The people who use Demeter. Nobody is ever deleted: what they did keeps their name."""

from __future__ import annotations

import datetime as dt
import difflib
from dataclasses import dataclass

from sqlalchemy import Connection, Insert, Update, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from db.acting import has_admin
from db.errors import NotFound, Refused
from db.models.people import User
from db.models.vocabulary import Role
from pipeline.words import Sentence

GIVABLE = tuple(role for role in Role if role is not Role.SYSTEM)


@dataclass(frozen=True, slots=True)
class Person:
    email: str
    name: str
    role: str
    login: str | None  # on the machines of the site
    active: bool
    since: dt.datetime


def people(connection: Connection, *, everybody: bool = False) -> list[Person]:
    """The active users, or all, by e-mail address."""
    query = select(
        User.email,
        func.btrim(func.concat_ws(" ", User.first_name, User.last_name)),
        User.role,
        User.os_login,
        User.active,
        User.created_at,
    ).order_by(User.email)
    rows = connection.execute(query if everybody else query.where(User.active))
    return [Person(*row) for row in rows]


def person(connection: Connection, email: str) -> Person:
    """Raises NotFound."""
    known = {one.email: one for one in people(connection, everybody=True)}
    found = known.get(email.strip().lower())
    if found is None:
        near = difflib.get_close_matches(email.lower(), list(known), n=1)
        raise NotFound(f"there is no user {email}" + (f"; did you mean {near[0]}?" if near else ""))
    return found


def add_user(connection: Connection, email: str, name: str, role: Role, login: str | None = None) -> Person:
    """Raises Refused when the address or the login is taken, or is none."""
    values = {"email": email.strip().lower(), "role": role.value, "os_login": login}
    _write(connection, email, insert(User).values(**values, **_split(name)))
    return person(connection, email)


def edit_user(
    connection: Connection, email: str, *, name: str | None = None, login: str | None = None
) -> Person:
    """Change what is given; an empty `login` takes it away. Raises NotFound and Refused."""
    found = _editable(connection, email)
    values = ({} if name is None else _split(name)) | ({} if login is None else {"os_login": login or None})
    if values:
        _write(connection, email, update(User).where(User.email == found.email).values(**values))
    return person(connection, email)


def set_role(connection: Connection, email: str, role: Role) -> Person:
    """Raises NotFound, and Refused for the last admin and for the system user."""
    return _set(connection, email, role=role.value)


def set_active(connection: Connection, email: str, active: bool) -> Person:
    """Raises NotFound, and Refused for the last admin and for the system user."""
    return _set(connection, email, active=active)


def _set(connection: Connection, email: str, **values: object) -> Person:
    # Two admins who deactivate each other at once would leave none.
    connection.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))
    found = _editable(connection, email)
    had_admin = has_admin(connection)
    with connection.begin_nested():
        connection.execute(update(User).where(User.email == found.email).values(**values))
        if had_admin and not has_admin(connection):
            raise Refused(
                Sentence(
                    "{email} is the last active admin: make somebody else admin first.", email=found.email
                )
            )
    return person(connection, email)


def _editable(connection: Connection, email: str) -> Person:
    found = person(connection, email)
    if found.role == Role.SYSTEM:
        raise Refused(
            Sentence("{email} owns what the program does by itself and stays as it is.", email=found.email)
        )
    return found


def _write(connection: Connection, email: str, statement: Insert | Update) -> None:
    try:
        with connection.begin_nested():
            connection.execute(statement)
    except IntegrityError as error:
        raise Refused(_reason(error, email)) from error


def _reason(error: IntegrityError, email: str) -> str:
    rule = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    return {
        "uq_users_email": f"there is already a user {email}; `demeter users list --all` shows them",
        "uq_users_os_login": "another user has that login already; take it away from them first",
        "ck_users_email": f"{email!r} is no e-mail address like ana@vivero.ar",
        "ck_users_os_login": "a login is 1 to 64 characters, without spaces and colons",
    }.get(rule or "", f"the database refuses the user {email}: {error.orig}")


def _split(name: str) -> dict[str, str]:
    words = name.split()
    if not words:
        raise Refused(Sentence("a user needs a name, such as --name 'Ana Paz'"))
    return {"first_name": words[0], "last_name": " ".join(words[1:])}
