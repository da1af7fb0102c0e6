"""What a portal keeps, in either kind of database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from allium.portal.contract_events import ContractEvent
from allium.portal.database import PortalDatabase
from allium.portal.documents import Event, Registration
from allium.portal.sql import PortalDatabaseError
from tests.support import postgres

REWARDS, NODE, OPERATOR = "0x" + "11" * 20, "22" * 32, "0x" + "33" * 20


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.running() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "portal.sqlite"
    url: str = request.getfixturevalue("server")
    return url


def event(block: int, name: str = "Reset") -> ContractEvent:
    told = Event(name=name, block=block, log_index=1, tx="0x00", main_arg=None, args={"amount": str(2**60)})
    return ContractEvent(REWARDS, None if block % 2 else block, told)


def registration(node: str, timestamp: int) -> Registration:
    return Registration(
        operator=OPERATOR, pubkey_ed25519=node, pubkey_bls="44", sig_ed25519="55", sig_bls="66", timestamp=timestamp
    )


def test_all_of_it_is_there_after_another_start(place: Path | str) -> None:
    database = PortalDatabase(place, 5, REWARDS, 100)
    assert (database.scanned, database.events(), database.last_day(), database.days(OPERATOR)) == (99, [], -1, [])
    database.replace(99, 200, [event(block) for block in (150, 151, 200)])
    database.replace(150, 300, [event(160), event(2**40, "Filled")])
    for number in range(5):
        database.register(registration(f"{number:064}", number), 3)
    database.register(registration(f"{4:064}", 9), 3)
    database.keep_day(7, 8, 9, [(OPERATOR, 2**60), (REWARDS, 1)])
    database.keep_day(7, 99, 99, [(OPERATOR, 0)])
    database.keep_day(8, 10, 11, [(OPERATOR, 2**60 + 1)])
    assert database.followed() == (0, -1)
    database.keep_returned(3, 4, [(OPERATOR, 4, 2**60), (REWARDS, 2, 1)])
    database.keep_returned(5, 6, [(OPERATOR, 6, 2**60 + 1)])
    database.keep_returned(4, 5, [(REWARDS, 5, 2)])
    database.close()

    database = PortalDatabase(place, 5, REWARDS, 100)
    try:
        assert database.scanned == 300
        assert database.events() == [event(150), event(160), event(2**40, "Filled")]
        kept = database.registrations(OPERATOR)
        assert [(each.pubkey_ed25519, each.timestamp) for each in kept] == [
            (f"{4:064}", 9),
            (f"{3:064}", 3),
            (f"{2:064}", 2),
        ]
        assert database.registrations(f"{3:064}") == [registration(f"{3:064}", 3)]
        assert database.registrations(NODE) == []
        assert database.last_day() == 8
        assert database.followed() == (4, 5)
        assert database.returned() == {OPERATOR: [(4, 2**60)], REWARDS: [(2, 1), (5, 2)]}
        days = database.days(OPERATOR)
        assert [(day.block, day.lifetime_rewards) for day in days] == [(10, str(2**60 + 1)), (8, str(2**60))]
    finally:
        database.close()
    with pytest.raises(PortalDatabaseError, match="other contracts"):
        PortalDatabase(place, 6, REWARDS, 100)


def test_two_portals_do_not_write_one_history(server: str) -> None:
    database = PortalDatabase(server, 5, REWARDS, 100)
    try:
        with pytest.raises(PortalDatabaseError, match="another portal"):
            PortalDatabase(server, 5, REWARDS, 100)
        # The connection is lost: it is made anew.
        with pytest.raises(PortalDatabaseError):
            database._sql.rows("SELECT pg_terminate_backend(pg_backend_pid())")
        assert database.last_day() >= -1
    finally:
        database.close()


def test_what_is_wrong_with_a_place_is_said_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(PortalDatabaseError) as caught:
        PortalDatabase(f"postgresql://me:secret@/x?host={tmp_path}", 5, REWARDS, 100)
    assert "secret" not in str(caught.value) and "database_url" in str(caught.value)
    (tmp_path / "portal.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(PortalDatabaseError, match="move it away"):
        PortalDatabase(tmp_path / "portal.sqlite", 5, REWARDS, 100)


def test_the_first_files_are_read_still(tmp_path: Path) -> None:
    path = tmp_path / "portal.sqlite"
    PortalDatabase(path, 5, REWARDS, 100).close()
    with sqlite3.connect(path) as before:
        before.execute("DROP TABLE format")
        before.execute("DROP TABLE followed")
        before.execute("DROP TABLE returned")
        before.execute("PRAGMA user_version = 1")
    database = PortalDatabase(path, 5, REWARDS, 100)
    assert database.scanned == 99
    database.close()
