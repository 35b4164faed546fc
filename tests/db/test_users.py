"""Who acts, what each may do, and what is remembered of it."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from db.acting import acting, acting_user, require_role
from db.audit_log import Wanted, entries
from db.engine import connect
from db.errors import Forbidden, NotFound, Refused
from db.models.vocabulary import Role
from db.users import add_user, edit_user, people, set_active, set_role

SYSTEM = "system@demeter.local"


@pytest.fixture
def connection(books: Connection) -> Connection:
    """Every test begins with the system user alone; what it does is rolled back."""
    return books


def ana(connection: Connection, role: Role = Role.WORKER, login: str | None = None) -> int:
    add_user(connection, "ana@vivero.ar", "Ana Paz", role, login)
    return acting_user(connection, "ana@vivero.ar")


def email(connection: Connection, user: int) -> str:
    return str(connection.scalar(text("SELECT email FROM users WHERE id = :id"), {"id": user}))


def test_the_flag_outranks_the_login_and_the_login_outranks_the_system(connection: Connection) -> None:
    assert email(connection, acting_user(connection, None, "ana")) == SYSTEM
    ana(connection, login="ana")

    assert email(connection, acting_user(connection, None, "ana")) == "ana@vivero.ar"
    assert email(connection, acting_user(connection, SYSTEM, "ana")) == SYSTEM
    assert email(connection, acting_user(connection, None, "somebody")) == SYSTEM


def test_a_user_who_is_misspelt_or_deactivated_does_not_act(connection: Connection) -> None:
    ana(connection, login="ana")
    with pytest.raises(NotFound, match=r"no user anna@vivero\.ar; did you mean ana@vivero\.ar\?"):
        acting_user(connection, "anna@vivero.ar")
    set_active(connection, "ana@vivero.ar", False)

    with pytest.raises(NotFound, match=r"deactivated; `demeter users activate ana@vivero\.ar`"):
        acting_user(connection, "ANA@vivero.ar")
    assert email(connection, acting_user(connection, None, "ana")) == SYSTEM
    assert [one.email for one in people(connection)] == [SYSTEM]
    assert len(people(connection, everybody=True)) == 2


@pytest.mark.parametrize(
    ("role", "may"),
    [(Role.ADMIN, True), (Role.SUPERVISOR, True), (Role.WORKER, False), (Role.VIEWER, False)],
)
def test_a_role_may_or_is_told_which_it_takes(connection: Connection, role: Role, may: bool) -> None:
    user = ana(connection, role)
    if may:
        require_role(connection, user, Role.SUPERVISOR)
    else:
        with pytest.raises(Forbidden, match=f"supervisor or admin, and ana@vivero.ar is {role}"):
            require_role(connection, user, Role.SUPERVISOR)


def test_the_system_may_do_everything_until_somebody_is_admin(connection: Connection) -> None:
    system = acting_user(connection, None)
    require_role(connection, system, Role.ADMIN)
    ana(connection, Role.SUPERVISOR)
    require_role(connection, system, Role.ADMIN)
    set_role(connection, "ana@vivero.ar", Role.ADMIN)

    with pytest.raises(Forbidden, match="say who you are with --user"):
        require_role(connection, system, Role.ADMIN)
    require_role(connection, system, Role.SYSTEM, Role.WORKER)  # it still counts photos at night


def test_somebody_stays_admin(connection: Connection) -> None:
    ana(connection, Role.ADMIN)
    for change in (
        lambda: set_active(connection, "ana@vivero.ar", False),
        lambda: set_role(connection, "ana@vivero.ar", Role.WORKER),
    ):
        with pytest.raises(Refused, match="the last active admin"):
            change()
    add_user(connection, "leo@vivero.ar", "Leo", Role.ADMIN)
    assert not set_active(connection, "ana@vivero.ar", False).active


def test_what_cannot_be_a_user_is_refused_in_a_sentence(connection: Connection) -> None:
    ana(connection, login="ana")
    for address, name, login, words in [
        ("ana@vivero.ar", "Ana", None, "already a user ana@vivero.ar"),
        ("leo", "Leo", None, "'leo' is no e-mail address"),
        ("leo@vivero.ar", " ", None, "needs a name"),
        ("leo@vivero.ar", "Leo", "ana", "has that login already"),
        ("leo@vivero.ar", "Leo", "two words", "without spaces"),
    ]:
        with pytest.raises(Refused, match=words):
            add_user(connection, address, name, Role.WORKER, login)
    with pytest.raises(Refused, match="owns what the program does"):
        set_active(connection, SYSTEM, False)
    assert edit_user(connection, "ana@vivero.ar", login="").login is None


def test_the_audit_log_says_who_changed_what(connection: Connection) -> None:
    ana(connection, Role.ADMIN)
    acting_user(connection, "ana@vivero.ar")
    connection.execute(text("UPDATE products SET common_name = 'Old lady' WHERE sku = 'MAM-BOC-001'"))
    connection.execute(text("UPDATE products SET common_name = 'Old lady' WHERE sku = 'MAM-BOC-001'"))
    connection.execute(
        text("UPDATE products SET family_id = (SELECT id FROM product_families WHERE name = 'Lobivia')")
    )

    moved, named, _seeded = entries(connection, Wanted("products", "MAM-BOC-001"))
    assert (named.user, named.login, named.key) == ("ana@vivero.ar", "demeter", "MAM-BOC-001")
    assert named.before == {"common_name": "Mammillaria bocasana"}
    assert named.after == {"common_name": "Old lady"}
    assert (moved.before, moved.after) == ({"family": "CACTUS/Mammillaria"}, {"family": "CACTUS/Lobivia"})
    with pytest.raises(NotFound, match="no table product; did you mean 'products'"):
        entries(connection, Wanted("product"))


def test_who_writes_past_the_program_is_known_by_the_login(connection: Connection) -> None:
    connection.execute(text("SELECT set_config('demeter.user_id', '', true)"))
    connection.execute(text("DELETE FROM density_parameters"))

    written = entries(connection, Wanted("density_parameters"))
    assert {(one.user, one.login, one.action, one.after) for one in written if one.action == "delete"} == {
        (None, "demeter", "delete", None)
    }
    connection.execute(text("TRUNCATE density_parameters"))
    assert entries(connection, Wanted("density_parameters"), 1)[0].action == "truncate"


def test_passwords_stay_out_of_the_audit_log(connection: Connection) -> None:
    ana(connection)
    connection.execute(
        text("UPDATE users SET password_hash = :hashed WHERE role = 'worker'"),
        {"hashed": "$2b$12$" + "a" * 53},
    )
    [changed] = [one for one in entries(connection, Wanted("users")) if one.action == "update"]
    assert changed.before == {"password_hash": "(was)"}
    assert changed.after == {"password_hash": "(is)"}


@pytest.mark.parametrize("change", ["DELETE FROM audit_log", "UPDATE audit_log SET user_id = NULL"])
def test_nothing_is_taken_out_of_the_audit_log(connection: Connection, change: str) -> None:
    with pytest.raises(DBAPIError, match="audit_log"):
        connection.execute(text(change))


def test_who_acted_cannot_be_deleted(connection: Connection) -> None:
    user = ana(connection, Role.ADMIN)
    connection.execute(text("UPDATE products SET description = 'x'"))
    with pytest.raises(IntegrityError, match="audit_log"):
        connection.execute(text("DELETE FROM users WHERE id = :id"), {"id": user})


def test_the_next_transaction_is_in_nobodys_name(module_url: str) -> None:
    with connect(module_url) as connection:
        with acting(connection, None, "", Role.SUPERVISOR) as (user, address):
            assert address == SYSTEM
            told = connection.scalar(text("SELECT current_setting('demeter.user_id')"))
            assert told == str(user)
        assert connection.scalar(text("SELECT current_setting('demeter.user_id')")) == ""
