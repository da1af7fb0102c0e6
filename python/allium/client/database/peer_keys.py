"""The keys that other accounts publish (`spec/protocol-v2` §2), as they were last told, and when."""

from __future__ import annotations

from dataclasses import dataclass, field

from allium.client.database.connection import Connection, bounded, clean

#: Accounts that are remembered; those that were asked for longest ago are forgotten.
MAX_ACCOUNTS = 10_000


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """What is known of one account."""

    #: As its swarm had it; empty if it had none that is good.
    record: bytes = field(repr=False)
    #: When its swarm was last asked, and when it last had a good one, 0 if never: Unix seconds.
    asked: int
    found: int


class PeerKeys:
    """Records by Account ID."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, account_id: str) -> PeerRecord | None:
        """What is known; None if nobody was asked."""
        row = self._connection.row("SELECT record, asked, found FROM peer_keys WHERE account = ?", (clean(account_id),))
        return None if row is None else PeerRecord(*row)

    def set(self, account_id: str, record: bytes, now: int) -> None:
        """The account's swarm had this at `now`, in Unix seconds; without a record, no good one."""
        found = bounded(now) if record else 0
        with self._connection.joined():
            self._connection.execute(
                "INSERT INTO peer_keys VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record, "
                "asked = excluded.asked, found = max(found, excluded.found)",
                (clean(account_id), record, bounded(now), found),
            )
            self._connection.execute(
                "DELETE FROM peer_keys WHERE account IN "
                "(SELECT account FROM peer_keys ORDER BY asked DESC LIMIT -1 OFFSET ?)",
                (MAX_ACCOUNTS,),
            )
