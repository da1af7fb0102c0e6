"""What a swarm is asked to keep, delete, extend and revoke (`spec/client-network` §4, §7, `spec/node-rpc` §4).

Every call goes to one member of the swarm, and to another one when that fails. All of them may be repeated: what is
stored twice is one message, and what is deleted or revoked already stays so.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from allium.client import crypto
from allium.client.credentials import Credentials
from allium.client.errors import ClockError, NetworkError, RefusedError
from allium.client.listing import milliseconds
from allium.client.network import Network, WrongSwarmError, attempts, members_in
from allium.client.pool import Snode

#: Of a message as it is stored.
MAX_DATA_BYTES = 76_800
#: Calls in one `batch` or `sequence`.
MAX_CALLS = 20
#: Swarm members that may refuse our time although it was set anew, before it is ours that is wrong.
_CLOCKS = 3

#: Members that have to refuse a request before it is the request's fault.
_REFUSALS = 2
#: No swarm is larger.
_MOST_MEMBERS = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What one member of the swarm said of a store."""

    #: Ed25519 key, 32 bytes.
    node: bytes
    #: It signed the message's hash with that key.
    verified: bool
    #: Why it did not store, in its own or the entry node's words; `None` when it did.
    failure: str | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A message that the swarm keeps; times in Unix milliseconds."""

    hash: str
    #: When the node had it, by its clock; of a node that does not say, the message's own.
    timestamp: int
    expiry: int
    confirmations: tuple[Confirmation, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one call of a `batch` or `sequence`."""

    #: As HTTP has it; 0 for a call that was not made, because one before it failed.
    code: int
    body: Any

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return 200 <= self.code < 300

    @property
    def reason(self) -> str:
        """Why not, in the node's words, shortened."""
        return f"{self.code}: {str(self.body)[:200]}"

    def named(self, *fields: str) -> frozenset[str]:
        """The hashes that any member of the swarm names in one of these fields."""
        members = self.body.get("swarm") if isinstance(self.body, dict) else None
        entries = [entry for entry in members.values() if isinstance(entry, dict)] if isinstance(members, dict) else []
        lists = [entry.get(field) for entry in entries for field in fields]
        return frozenset(name for told in lists if isinstance(told, (list, dict)) for name in told if _is_text(name))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


@dataclass(frozen=True, slots=True)
class Store:
    """Keeps `data` for `ttl` milliseconds; `ValueError` for more bytes than a node takes."""

    namespace: int
    data: bytes
    ttl: int
    #: Unix milliseconds; when it is stored, without.
    timestamp: int | None = None

    def __post_init__(self) -> None:
        if len(self.data) > MAX_DATA_BYTES:
            raise ValueError(f"a stored message has at most {MAX_DATA_BYTES} bytes, not {len(self.data)}")

    @property
    def is_public(self) -> bool:
        """Whether anyone may store there."""
        return self.namespace % 10 == 0

    def call(self, pubkey: str, credentials: Credentials | None, now: int) -> dict[str, Any]:
        """As it stands in a `sequence`."""
        params = {
            "pubkey": pubkey,
            "namespace": self.namespace,
            "timestamp": now if self.timestamp is None else self.timestamp,
            "ttl": self.ttl,
            "data": base64.b64encode(self.data).decode(),
        }
        if credentials is not None and not self.is_public:
            if self.timestamp is not None:
                params["sig_timestamp"] = now
            params = credentials.sign("store", params, now)
        return {"method": "store", "params": params}


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes messages by their hashes, wherever they are."""

    hashes: tuple[str, ...]

    def call(self, pubkey: str, credentials: Credentials | None, now: int) -> dict[str, Any]:
        """As it stands in a `sequence`."""
        return _signed(credentials, "delete", {"messages": list(self.hashes)}, now)


@dataclass(frozen=True, slots=True)
class DeleteAll:
    """Deletes a namespace, or all of them."""

    namespace: int | Literal["all"]

    def call(self, pubkey: str, credentials: Credentials | None, now: int) -> dict[str, Any]:
        """As it stands in a `sequence`."""
        return _signed(credentials, "delete_all", {"namespace": self.namespace}, now)


@dataclass(frozen=True, slots=True)
class Expire:
    """Sets until when messages are kept, Unix milliseconds; with a mode only if that is earlier or later."""

    hashes: tuple[str, ...]
    expiry: int
    mode: Literal["set", "shorten", "extend"] = "set"

    def call(self, pubkey: str, credentials: Credentials | None, now: int) -> dict[str, Any]:
        """As it stands in a `sequence`."""
        params: dict[str, Any] = {"messages": list(self.hashes), "expiry": self.expiry}
        if self.mode != "set":
            params[self.mode] = True
        return _signed(credentials, "expire", params, now)


@dataclass(frozen=True, slots=True)
class GetExpiries:
    """Asks until when messages are kept."""

    hashes: tuple[str, ...]

    def call(self, pubkey: str, credentials: Credentials | None, now: int) -> dict[str, Any]:
        """As it stands in a `sequence`."""
        return _signed(credentials, "get_expiries", {"messages": list(self.hashes)}, now)


@dataclass(frozen=True, slots=True)
class Revoke:
    """Takes members' tokens (36 bytes each) out of force."""

    tokens: tuple[bytes, ...]

    def call(self, pubkey: str, credentials: Credentials | None, now: int) -> dict[str, Any]:
        """As it stands in a `sequence`."""
        return _signed(credentials, "revoke_subaccount", {"revoke": [token.hex() for token in self.tokens]}, now)


@dataclass(frozen=True, slots=True)
class Unrevoke:
    """Puts members' tokens in force again."""

    tokens: tuple[bytes, ...]

    def call(self, pubkey: str, credentials: Credentials | None, now: int) -> dict[str, Any]:
        """As it stands in a `sequence`."""
        return _signed(credentials, "unrevoke_subaccount", {"unrevoke": [token.hex() for token in self.tokens]}, now)


Request = Store | Delete | DeleteAll | Expire | GetExpiries | Revoke | Unrevoke


def _signed(credentials: Credentials | None, method: str, params: Mapping[str, Any], now: int) -> dict[str, Any]:
    if credentials is None:
        raise ValueError(f"{method} needs credentials")
    return {"method": method, "params": credentials.sign(method, params, now)}


async def sequence(network: Network, credentials: Credentials, requests: Sequence[Request]) -> list[Stored | Outcome]:
    """Has the credentials' swarm do all of `requests`, one after the other, until one is refused.

    One result for each: `Stored` for a store, else an `Outcome`. After a refusal, which is an `Outcome` too, the
    others have the code 0. `NetworkError` when no node did it; what was done before that is done.
    """
    return await _sequence(network, credentials.pubkey, credentials, requests)


async def store(network: Network, pubkey: str, store: Store, credentials: Credentials | None = None) -> Stored:
    """Stores one message in anybody's swarm; `NetworkError`, or `RefusedError` with the node's reason."""
    [result] = await _sequence(network, pubkey, credentials, [store])
    if isinstance(result, Outcome):
        raise RefusedError(result.code, str(result.body)[:200])
    return result


async def delete(network: Network, credentials: Credentials, hashes: Sequence[str]) -> frozenset[str]:
    """Deletes messages; the hashes of those that were there. Raises as `store`."""
    return (await _one(network, credentials, Delete(tuple(hashes)))).named("deleted")


async def expire(
    network: Network,
    credentials: Credentials,
    hashes: Sequence[str],
    expiry: int,
    mode: Literal["set", "shorten", "extend"] = "set",
) -> frozenset[str]:
    """Changes until when messages are kept; the hashes of those that are there. Raises as `store`."""
    outcome = await _one(network, credentials, Expire(tuple(hashes), expiry, mode))
    return outcome.named("updated", "unchanged")


async def expiries(network: Network, credentials: Credentials, hashes: Sequence[str]) -> dict[str, int]:
    """Until when messages are kept, by hash, in Unix milliseconds; those that are there. Raises as `store`."""
    outcome = await _one(network, credentials, GetExpiries(tuple(hashes)))
    told = outcome.body.get("expiries") if isinstance(outcome.body, dict) else None
    named = told.items() if isinstance(told, dict) else ()
    return {hash_: expiry for hash_, value in named if hash_ in hashes and (expiry := milliseconds(value))}


async def tidy(
    network: Network, credentials: Credentials, deletions: Sequence[str], shortened: Mapping[str, int]
) -> None:
    """Has our swarm forget what is deleted, or earlier (hash -> Unix ms); if it does not, it does when that expires."""
    with contextlib.suppress(NetworkError, RefusedError):
        if deletions:
            await delete(network, credentials, deletions)
        by_time: dict[int, list[str]] = {}
        for hash_, expiry in shortened.items():
            by_time.setdefault(expiry, []).append(hash_)
        for expiry, hashes in by_time.items():
            await expire(network, credentials, hashes, expiry, "shorten")


async def _one(network: Network, credentials: Credentials, request: Request) -> Outcome:
    [result] = await _sequence(network, credentials.pubkey, credentials, [request])
    if isinstance(result, Stored):
        raise TypeError("a store is asked for by `store`")
    if not result.ok:
        raise RefusedError(result.code, str(result.body)[:200])
    return result


async def _sequence(
    network: Network, pubkey: str, credentials: Credentials | None, requests: Sequence[Request]
) -> list[Stored | Outcome]:
    done: list[Stored | Outcome] = []
    refused: list[Outcome] = []

    async def work(node: Snode) -> None:
        while len(done) < len(requests):
            rest = requests[len(done) : len(done) + MAX_CALLS]
            now = network.now()
            calls = [request.call(pubkey, credentials, now) for request in rest]
            outcomes = await exchange(network, pubkey, node, "sequence", calls)
            for request, outcome in zip(rest, outcomes, strict=False):
                if outcome.code >= 500 or outcome.code < 200:
                    network.pool.strike(node)
                    raise NetworkError(f"{node} failed with status {outcome.reason}")
                if not outcome.ok:
                    refused.append(outcome)
                    raise RefusedError(outcome.code, str(outcome.body)[:200])
                done.append(
                    _stored(network, node, pubkey, request, outcome, now) if isinstance(request, Store) else outcome
                )
            if len(outcomes) < len(rest):
                network.pool.strike(node)
                raise NetworkError(f"{node} answered {len(outcomes)} of {len(rest)} requests")

    if requests:
        await network.refresh()
        try:
            await at_swarm(network, pubkey, work)
        except RefusedError:
            if not refused:
                raise
            done.append(refused[-1])
    return [*done, *(Outcome(0, None) for _ in requests[len(done) :])]


def _stored(network: Network, node: Snode, pubkey: str, request: Store, outcome: Outcome, now: int) -> Stored:
    body = outcome.body if isinstance(outcome.body, dict) else {}
    expected = message_hash(pubkey, request.namespace, request.data)
    if body.get("hash") != expected:
        network.pool.strike(node)
        raise NetworkError(f"{node} stored something else: {str(body.get('hash'))[:80]!r}, not {expected}")
    began = request.timestamp if request.timestamp is not None else now
    timestamp = milliseconds(body.get("t")) or began
    return Stored(expected, timestamp, began + request.ttl, confirmations(body, expected))


async def exchange(
    network: Network, pubkey: str, node: Snode, method: Literal["batch", "sequence"], calls: list[dict[str, Any]]
) -> list[Outcome]:
    """Several calls in one request to a node; their answers in order, of a `sequence` perhaps fewer.

    Raises `ClockError`, `WrongSwarmError` and other `NetworkError`s.
    """
    reply = await network.request(node, method, {"requests": calls})
    results = reply.body.get("results") if isinstance(reply.body, dict) else None
    if not isinstance(results, list) or not 0 < len(results) <= len(calls):
        network.pool.strike(node)
        raise NetworkError(f"{node} answered without results")
    outcomes = [_outcome(result) for result in results]
    for outcome in outcomes:
        network.note_time(node, outcome.body)
        if outcome.code == 421:
            raise WrongSwarmError(members_in(outcome.body))
        if outcome.code in (406, 425):
            raise ClockError(f"{node} refused our time ({outcome.reason}); set this machine's clock")
    return outcomes


def _outcome(result: Any) -> Outcome:
    code, body = (result.get("code"), result.get("body")) if isinstance(result, dict) else (None, None)
    return Outcome(code, body) if isinstance(code, int) and 100 <= code < 600 else Outcome(500, "no result")


async def at_swarm(
    network: Network,
    pubkey: str,
    work: Callable[[Snode], Awaitable[T]],
    rank: Callable[[Snode], int] = lambda node: 0,
) -> T:
    """What `work` makes of one member of a swarm; of another one when it raises `NetworkError`, lowest `rank` first.

    A member that refuses our time is asked again after three nodes have told theirs, and dropped if it still does.
    What is refused is refused by two members, as one alone may lie: `RefusedError`.
    """
    tried: list[bytes] = []
    again: Snode | None = None
    doubtful: set[bytes] = set()
    failure: NetworkError | RefusedError = NetworkError("no node was tried")
    refusals = 0
    async for _ in attempts():
        members = await network.swarm(pubkey)
        node = again or min(members, key=lambda member: (tried.count(member.ed25519), rank(member)))
        again = None
        tried.append(node.ed25519)
        try:
            return await work(node)
        except ClockError as error:
            failure = error
            if node.ed25519 in doubtful:
                network.pool.drop(node)
            elif len(doubtful) < _CLOCKS and await network.sync_clock():
                doubtful.add(node.ed25519)
                again = node
            else:
                break
        except WrongSwarmError as error:
            failure = error
            network.learn_swarm(pubkey, node, error.swarm)
        except NetworkError as error:
            failure = error
            if network.connection.online is False:
                break
        except RefusedError as error:
            failure = error
            refusals += 1
            if refusals >= _REFUSALS:
                break
    if isinstance(failure, (ClockError, RefusedError)):
        raise failure
    raise NetworkError(f"{len(tried)} attempts failed, the last with: {failure}") from failure


def message_hash(pubkey: str, namespace: int, data: bytes) -> str:
    """What a node calls a message: 43 base64 digits (`spec/node-rpc` §2)."""
    digest = hashlib.blake2b(bytes.fromhex(pubkey), digest_size=32)
    digest.update(str(namespace).encode() if namespace else b"")
    digest.update(data)
    return base64.b64encode(digest.digest()).decode().rstrip("=")


def confirmations(body: Mapping[str, Any], stored: str) -> tuple[Confirmation, ...]:
    """What each member of the swarm said, in the answer to a store of the message with this hash."""
    swarm = body.get("swarm")
    return tuple(
        _confirmation(key, entry, stored)
        for key, entry in sorted(swarm.items() if isinstance(swarm, dict) else ())[:_MOST_MEMBERS]
        if isinstance(entry, dict)
    )


def _confirmation(key: str, entry: Mapping[str, Any], stored: str) -> Confirmation:
    try:
        node = bytes.fromhex(key)
        if entry.get("failed"):
            reason = entry.get("reason") or (
                "no answer in time" if entry.get("timeout") else f"code {entry.get('code')}"
            )
            return Confirmation(node, False, str(reason)[:200])
        signature = base64.b64decode(entry.get("signature") or "")
    except (ValueError, TypeError):
        return Confirmation(b"", False, "an unusable answer")
    return Confirmation(node, crypto.verify(node, signature, stored.encode()), None)
