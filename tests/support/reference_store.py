"""The messages of a storage server 2.8 and its commands on them, straight from `spec/node-rpc`, on libsodium alone.

A request is `Fields`: the dict that one node forwards to another, with raw bytes (`spec/node-rpc` §3).
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from nacl import bindings, exceptions

Fields = dict[str, Any]
#: What one node made of a command: names to integers, bytes, lists and dicts.
Result = dict[str, Any]

SECOND = 1_000
DAY = 86_400 * SECOND
LONGEST, LONGEST_IN_INBOX, SHORTEST = 30 * DAY, 14 * DAY, 10 * SECOND
TOLERANCE, TOLERANCE_OF_FORWARDED, CLOCK = 60 * SECOND, 70 * SECOND, 10 * SECOND
MOST_REVOKED = 50
LARGEST_PAGE = 7_800_000
READ, WRITE, DELETE, ANY_PREFIX = 1, 2, 4, 8


class Refusal(Exception):
    """A status, and a text or a tree."""

    def __init__(self, code: int, body: str | Result) -> None:
        super().__init__(code, body)
        self.code = code
        self.body: bytes | Result = body.encode() if isinstance(body, str) else body


@dataclass
class Message:
    """One message, times in milliseconds."""

    account: bytes
    namespace: int
    hash: str
    timestamp: int
    expiry: int
    data: bytes


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def is_inbox(namespace: int) -> bool:
    return namespace % 10 == 0


def is_outbox(namespace: int) -> bool:
    return namespace < 0 and -namespace % 20 == 1


def is_unrevocable(namespace: int) -> bool:
    return namespace < 0 and -namespace % 100 == 11


def named(namespace: int | bytes) -> str:
    """A namespace, or all, in signed texts."""
    return namespace.decode() if isinstance(namespace, bytes) else str(namespace or "")


def hash_of(account: bytes, namespace: int, data: bytes) -> str:
    digest = hashlib.blake2b(account + named(namespace).encode() + data, digest_size=32).digest()
    return base64.b64encode(digest).decode().rstrip("=")


def verifies(key: bytes, text: bytes, signature: bytes) -> bool:
    try:
        return bool(bindings.crypto_sign_open(signature + text, key) == text)
    except (exceptions.BadSignatureError, ValueError):
        return False


class ReferenceStore:
    """All messages of one node, in the order in which they came, and who was shut out."""

    def __init__(self, ed25519_secret: bytes) -> None:
        self.messages: dict[str, Message] = {}
        self._revoked: dict[bytes, dict[bytes, int]] = {}
        self._secret = ed25519_secret
        self._commands: dict[str, Callable[[Fields, bool], Result]] = {
            "store": self._store,
            "delete": self._delete,
            "delete_all": self._delete_all,
            "delete_before": self._delete_before,
            "expire": self._expire,
            "expire_all": self._expire_all,
            "revoke_subaccount": self._revoke,
            "unrevoke_subaccount": self._unrevoke,
        }

    def execute(self, method: str, fields: Fields, *, forwarded: bool) -> Result:
        """A command for the whole swarm, on this node; `Refusal`."""
        command = self._commands.get(method)
        if command is None:
            raise Refusal(400, "invalid request: received invalid forwarded non-forwardable request")
        return command(fields, forwarded)

    def is_recursive(self, method: str) -> bool:
        return method in self._commands

    def of(self, account: bytes, namespace: int | bytes) -> Iterator[Message]:
        """An account's messages that are still to be had."""
        now = now_ms()
        for message in list(self.messages.values()):
            if message.account == account and namespace in (b"all", message.namespace) and message.expiry > now:
                yield message

    def insert(self, message: Message) -> bool:
        """As bulk transfer does: whatever it is called, unless that is known already."""
        return self.messages.setdefault(message.hash, message) is message

    # --- who may

    def _authorise(
        self, method: str, fields: Fields, flags: int, *parts: object, refusal: str = "", unrevocable: bool = False
    ) -> None:
        """Whether the signature is over the method's name and these parts; `Refusal` when not."""
        text = b"".join(part if isinstance(part, bytes) else str(part).encode() for part in (method, *parts))
        if not self._is_authorised(fields, flags, text, unrevocable):
            raise Refusal(401, refusal or f"{method} signature verification failed")

    def _is_authorised(self, fields: Fields, flags: int, text: bytes, unrevocable: bool) -> bool:
        account, key = fields["pubkey"], fields["pubkey"][1:]
        if given := fields.get("pubkey_ed25519"):
            try:
                if bindings.crypto_sign_ed25519_pk_to_curve25519(given) != key:
                    return False
            except RuntimeError:
                return False
            key = given
        token = fields.get("subaccount")
        if token is not None:
            if not flags or (token in self._revoked.get(account, {}) and not unrevocable):
                return False
            if token[0] != account[0] and not token[1] & ANY_PREFIX:
                return False
            if token[1] & flags != flags or not verifies(key, token, fields["subaccount_sig"]):
                return False
            key = token[4:]
        return verifies(key, text, fields.get("signature", bytes(64)))

    def _signed(self, *parts: object) -> bytes:
        """This node's own signature."""
        text = b"".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)
        return bindings.crypto_sign(text, self._secret)[:64]

    # --- commands

    def _store(self, fields: Fields, forwarded: bool) -> Result:
        account, data, namespace = fields["pubkey"], fields["data"], fields.get("namespace", 0)
        timestamp, expiry, now = fields["timestamp"], fields["expiry"], now_ms()
        longest = LONGEST_IN_INBOX if is_inbox(namespace) else LONGEST
        if not SHORTEST <= expiry - timestamp <= longest:
            raise Refusal(403, "Provided expiry/TTL is not valid.")
        if timestamp > now + CLOCK or expiry < now - CLOCK:
            raise Refusal(406, "Timestamp error: check your clock")
        if not is_inbox(namespace):
            if "signature" not in fields:
                raise Refusal(401, f"store: signature required to store to namespace {namespace}")
            signed_at: Any = fields.get("sig_timestamp", timestamp)
            if abs(signed_at - now) > TOLERANCE:
                raise Refusal(406, "store signature timestamp too far from current time")
            flags = WRITE | DELETE if is_outbox(namespace) else WRITE
            self._authorise("store", fields, flags, named(namespace), signed_at)
        name = hash_of(account, namespace, data)
        if is_outbox(namespace):
            self._remove([message for message in self.of(account, namespace) if message.hash != name])
        known = self.messages.get(name)
        if known is None:
            self.messages[name] = Message(account, namespace, name, timestamp, expiry, data)
        else:
            known.expiry = expiry = max(known.expiry, expiry)
        own = {"hash": name, "signature": self._signed(name), "expiry": expiry}
        return own if known is None else {**own, "already": True}

    def retrieve(self, fields: Fields) -> tuple[list[Message], bool]:
        """A page of an account's messages, and whether there is more; `Refusal`."""
        namespace = fields.get("namespace", 0)
        if namespace != -10 and not is_outbox(namespace):
            if "signature" not in fields:
                raise Refusal(401, "retrieve: request signature required")
            if abs(fields["timestamp"] - now_ms()) > TOLERANCE:
                raise Refusal(406, "retrieve timestamp too far from current time")
            text = (named(namespace), fields["timestamp"])
            self._authorise("retrieve", fields, READ, *text, unrevocable=is_unrevocable(namespace))
        messages = list(self.of(fields["pubkey"], namespace))
        names = [message.hash for message in messages]
        if (last := fields.get("last_hash", b"").decode()) in names:
            messages = messages[names.index(last) + 1 :]
        page: list[Message] = []
        left = LARGEST_PAGE // 5
        for message in messages:
            left -= 100 + len(message.hash) + len(message.data) * 4 // 3
            if page and (left < 0 or len(page) == fields.get("max_count", -1)):
                return page, True
            page.append(message)
        return page, False

    def _delete(self, fields: Fields, forwarded: bool) -> Result:
        account, asked = fields["pubkey"], fields["messages"]
        self._authorise("delete", fields, DELETE, *asked, refusal="delete_msgs signature verification failed")
        deleted = self._remove([message for message in self.of(account, b"all") if message.hash.encode() in asked])
        return {"deleted": deleted, "signature": self._signed(account.hex(), *asked, *deleted)}

    def _delete_all(self, fields: Fields, forwarded: bool) -> Result:
        tolerance = TOLERANCE_OF_FORWARDED if forwarded else TOLERANCE
        if abs(fields["timestamp"] - now_ms()) > tolerance:
            raise Refusal(406, "delete_all timestamp too far from current time")
        return self._delete_old("delete_all", fields, fields["timestamp"], lambda _: True)

    def _delete_before(self, fields: Fields, forwarded: bool) -> Result:
        before = fields["before"]
        if before > now_ms() + TOLERANCE:
            raise Refusal(401, "delete_before timestamp too far in the future")
        return self._delete_old("delete_before", fields, before, lambda message: message.timestamp <= before)

    def _delete_old(self, method: str, fields: Fields, time: int, goes: Callable[[Message], bool]) -> Result:
        account, namespace = fields["pubkey"], fields.get("namespace", 0)
        self._authorise(method, fields, DELETE, named(namespace), time)
        going = [message for message in self.of(account, namespace) if goes(message)]
        deleted = self._remove(going)
        told = by_namespace(going) if namespace == b"all" else deleted
        return {"deleted": told, "signature": self._signed(account.hex(), time, *deleted)}

    def _expire(self, fields: Fields, forwarded: bool) -> Result:
        account, asked = fields["pubkey"], fields["messages"]
        given = fields["expiry"] if isinstance(fields["expiry"], list) else [fields["expiry"]]
        if any(expiry < now_ms() - TOLERANCE for expiry in given):
            raise Refusal(401, "expire: timestamp should be >= current time")
        how = "shorten" if fields.get("shorten") else "extend" if fields.get("extend") else ""
        refusal = "expire: signature verification failed"
        self._authorise("expire", fields, WRITE, how, *given, *asked, refusal=refusal)
        token = fields.get("subaccount")
        may_shorten = token is None or bool(token[1] & DELETE)
        if how == "shorten" and not may_shorten:
            text = "expire: shorten parameter cannot be used with this subaccount token (missing delete access)"
            raise Refusal(400, text)
        clamped = [min(expiry, now_ms() + LONGEST) for expiry in given]
        wanted = dict(zip(asked, clamped * len(asked) if len(clamped) == 1 else clamped, strict=True))
        updated: dict[str, int] = {}
        unchanged: dict[str, int] = {}
        for message in self.of(account, b"all"):
            expiry = wanted.get(message.hash.encode())
            if expiry is None:
                continue
            only_raises = how == "extend" or not may_shorten
            if (only_raises and expiry <= message.expiry) or (how == "shorten" and expiry >= message.expiry):
                unchanged[message.hash] = message.expiry
            else:
                message.expiry = updated[message.hash] = expiry
        names = sorted(updated)
        told = clamped[0] if len(clamped) == 1 else [updated[name] for name in names]
        values = told if isinstance(told, list) else [told]
        told_unchanged = dict(sorted(unchanged.items())) if how else {}
        pairs = [part for pair in told_unchanged.items() for part in pair]
        signature = self._signed(account.hex(), *values, *asked, *names, *pairs)
        result = {"expiry": told, "updated": names, "signature": signature}
        return {**result, "unchanged": told_unchanged} if how else result

    def _expire_all(self, fields: Fields, forwarded: bool) -> Result:
        account, namespace, expiry = fields["pubkey"], fields.get("namespace", 0), fields["expiry"]
        if expiry < now_ms() - (TOLERANCE_OF_FORWARDED if forwarded else TOLERANCE):
            raise Refusal(406, "expire_all timestamp should be >= current time")
        self._authorise("expire_all", fields, DELETE, named(namespace), expiry)
        changed = [message for message in self.of(account, namespace) if message.expiry > expiry]
        for message in changed:
            message.expiry = expiry
        names = sorted(message.hash for message in changed)
        told = by_namespace(changed) if namespace == b"all" else names
        return {"updated": told, "signature": self._signed(account.hex(), expiry, *names)}

    def _revoke(self, fields: Fields, forwarded: bool) -> Result:
        return self._shut_out("revoke", fields)

    def _unrevoke(self, fields: Fields, forwarded: bool) -> Result:
        return self._shut_out("unrevoke", fields)

    def _shut_out(self, how: str, fields: Fields) -> Result:
        account, tokens, timestamp, method = fields["pubkey"], fields[how], fields["timestamp"], f"{how}_subaccount"
        if abs(timestamp - now_ms()) > TOLERANCE:
            raise Refusal(406, f"{method} timestamp too far from current time")
        self._authorise(method, fields, 0, timestamp, *tokens)
        revoked = self._revoked.setdefault(account, {})
        result: Result = {"signature": self._signed(account.hex(), timestamp, *tokens)}
        if how == "revoke":
            revoked.update(dict.fromkeys(tokens, timestamp))
            for token in sorted(revoked, key=lambda token: revoked[token])[:-MOST_REVOKED]:
                del revoked[token]
            return result
        return {**result, "count": sum(revoked.pop(token, None) is not None for token in tokens)}

    def _remove(self, messages: list[Message]) -> list[str]:
        """Their hashes, ascending."""
        for message in messages:
            del self.messages[message.hash]
        return sorted(message.hash for message in messages)


def by_namespace(messages: list[Message]) -> dict[str, list[str]]:
    spaces = sorted({message.namespace for message in messages})
    return {str(n): sorted(message.hash for message in messages if message.namespace == n) for n in spaces}
