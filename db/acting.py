"""In whose name a command acts, and whether that person may.

Whoever can run the program can name any user, so this keeps honest people from mistakes and the record true;
what keeps out the others are the database's roles (db/roles.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, func, select

from db.errors import Forbidden, NotFound
from db.models.people import User
from db.models.vocabulary import Role
from pipeline.words import Sentence

_SYSTEM_HINT = Sentence("load the seeds with `demeter seed`, or name a user with --user")


@contextmanager
def acting(
    connection: Connection, email: str | None, os_user: str, *roles: Role | str
) -> Iterator[tuple[int, str]]:
    """A transaction in the name of a user who has one of the roles. Yields the user's id and e-mail address.

    Raises NotFound and Forbidden, as `acting_user` and `require_role` do.
    """
    with connection.begin():
        user = acting_user(connection, email, os_user)
        if roles:
            require_role(connection, user, *roles)
        yield user, email_of(connection, user)


def acting_user(connection: Connection, email: str | None, os_user: str = "") -> int:
    """The active user who acts: of that e-mail address, else with that login here, else the system user.

    Until its end, the transaction tells the audit log who it was. Raises NotFound.
    """
    if email is not None:
        found = _named(connection, email)
    else:
        found = _logged_in(connection, os_user) or _system(connection)
    act_as(connection, found)
    return found


def act_as(connection: Connection, user: int) -> None:
    """Tell the audit log who changes what in this transaction; the next transaction has to tell it again."""
    connection.execute(select(func.set_config("demeter.user_id", str(user), True)))


def require_role(connection: Connection, user: int, *roles: Role | str) -> None:
    """Raise Forbidden unless the user has one of the roles. An admin may do everything.

    As long as nobody is an admin, the system user is one: somebody has to add the first.
    """
    email, role = connection.execute(select(User.email, User.role).where(User.id == user)).one()
    if role in {Role.ADMIN, *roles} or (role == Role.SYSTEM and not has_admin(connection)):
        return
    wanted = [Role(one) for one in roles if one not in (Role.ADMIN, Role.SYSTEM)]
    needed = " or ".join([*dict.fromkeys(wanted), Role.ADMIN])
    if role == Role.SYSTEM:
        raise Forbidden(
            Sentence(
                "This needs a user who is {needed}, and nobody was named: say who you are with"
                " --user, or set DEMETER_USER.",
                needed=needed,
            )
        )
    raise Forbidden(
        Sentence(
            "This needs a user who is {needed}, and {email} is {role}: name another with --user.",
            needed=needed,
            email=email,
            role=role,
        )
    )


def has_admin(connection: Connection) -> bool:
    admins = select(User.id).where(User.role == Role.ADMIN.value, User.active)
    return connection.scalar(select(admins.exists())) is True


def email_of(connection: Connection, user: int) -> str:
    return connection.execute(select(User.email).where(User.id == user)).scalar_one()


def _named(connection: Connection, email: str) -> int:
    rows = connection.execute(select(User.email, User.id, User.active)).all()
    known = {row.email: row for row in rows}
    row = known.get(email.strip().lower())
    if row is None:
        near = difflib.get_close_matches(email.lower(), list(known), n=1)
        hint = (
            Sentence("; did you mean {names}?", names=near[0])
            if near
            else Sentence("; `demeter users list` shows who there is")
        )
        raise NotFound(Sentence("there is no user {email}{hint}", email=email, hint=hint))
    if not row.active:
        raise NotFound(
            Sentence(
                "the user {email} is deactivated; `demeter users activate {email}` undoes it", email=row.email
            )
        )
    return int(row.id)


def _logged_in(connection: Connection, os_user: str) -> int | None:
    if not os_user:
        return None
    return connection.scalar(select(User.id).where(User.os_login == os_user, User.active))


def _system(connection: Connection) -> int:
    found = connection.scalar(select(User.id).where(User.role == Role.SYSTEM.value, User.active))
    if found is None:
        raise NotFound(Sentence("there is no user to act as: {remedy}", remedy=_SYSTEM_HINT))
    return found
