"""A community server for tests, which checks every header, signature and field as the spec says.

It speaks plain HTTP and onion v4 (`spec/groups` §9, `spec/client-network` §5); what verifies and opens is written here
anew on libsodium, so that it does not agree with the client by sharing its errors.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from aiohttp import web
from nacl import bindings
from nacl.exceptions import CryptoError

from tests.support.reference_onion import LayerError, ReferenceLayer, unframe
from tests.support.sogs_rooms import Refusal, Room

LOOPBACK = "127.0.0.1"
_ID = re.compile(r"(?:05|15|25)[0-9a-f]{64}")
_HEADERS = ("x-sogs-pubkey", "x-sogs-nonce", "x-sogs-timestamp", "x-sogs-signature")
_DISPOSITION = re.compile(r"attachment(?:; filename\*=UTF-8''([A-Za-z0-9_.~%-]+))?")


@dataclass
class SogsRequest:
    """One request, as the server is to answer it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    #: Who asks; None for nobody in particular.
    user: str | None

    def json(self, *allowed: str) -> dict[str, Any]:
        """The body's object, which has no other fields than these."""
        told = json.loads(self.body)
        if not isinstance(told, dict) or not told.keys() <= set(allowed):
            raise Refusal(400, f"unknown fields among {list(told)}")
        return told

    def limit(self) -> int:
        return int(self.query.get("limit", ["100"])[0])

    def reactors(self) -> int:
        return int(self.query.get("reactors", ["4"])[0])


@dataclass
class SogsServer:
    """Its state, and what was asked of it."""

    blind: bool = True
    secret: bytes = field(default_factory=lambda: os.urandom(32))
    rooms: dict[str, Room] = field(default_factory=dict)
    inboxes: list[dict[str, Any]] = field(default_factory=list)
    banned: set[str] = field(default_factory=set)
    url: str = ""
    #: Method and path of each, those in a batch too.
    log: list[str] = field(default_factory=list)
    #: Called with an answer's body before it is sent: what a hostile server would make of it.
    twist: Callable[[str, Any], Any] | None = None
    #: Awaited before each request is answered.
    wait: Callable[[], Awaitable[Any]] | None = None
    _nonces: set[tuple[str, bytes]] = field(default_factory=set)
    _users: dict[str, bytes] = field(default_factory=dict)
    _numbers: int = 0

    @property
    def key(self) -> bytes:
        return bindings.crypto_scalarmult_base(self.secret)

    def room(self, token: str, **options: Any) -> Room:
        self.rooms[token] = Room(token, **{"name": token.title(), **options})
        return self.rooms[token]

    def join_url(self, token: str) -> str:
        return f"{self.url}/{token}?public_key={self.key.hex()}"

    # --- the way in

    async def plain(self, request: web.Request) -> web.Response:
        if self.wait is not None:
            await self.wait()
        headers = {name.lower(): value for name, value in request.headers.items()}
        status, body = self.answered(request.method, request.raw_path, headers, await request.read())
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=data, content_type=kind)

    async def onion(self, request: web.Request) -> web.Response:
        if self.wait is not None:
            await self.wait()
        try:
            ciphertext, control = unframe(await request.read())
            layer = ReferenceLayer.between(self.secret, bytes.fromhex(control["ephemeral_key"]), "aes-gcm")
            plaintext = layer.open(ciphertext)
        except (LayerError, ValueError, KeyError):
            return web.Response(status=400, text="Invalid ciphertext")
        meta, body = v4_parts(plaintext)
        assert meta.keys() == {"method", "endpoint", "headers"} and meta["endpoint"].startswith("/")
        headers = meta["headers"]
        assert all(name == name.lower() for name in headers), headers
        status, answer = self.answered(meta["method"], meta["endpoint"], headers, body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        told = json.dumps({"code": status, "headers": {"Content-Type": "application/json"}}).encode()
        return web.Response(body=layer.seal(b"l%d:%b%d:%be" % (len(told), told, len(data), data)))

    def answered(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """Status, and bytes or a JSON value."""
        try:
            user = self._authenticated(method, target, headers, body)
            return self._one(method, target, headers, body, user)
        except Refusal as refusal:
            return refusal.status, refusal.reason
        except (ValueError, KeyError, TypeError) as error:
            return 400, repr(error)

    def _one(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, user: str | None
    ) -> tuple[int, Any]:
        path, _, query = target.partition("?")
        asked = SogsRequest(method, unquote(path), parse_qs(query), headers, body, user)
        self.log.append(f"{method} {asked.path}")
        if body and method not in ("POST", "PUT"):
            raise Refusal(400, "a body that nobody expects")
        file_upload = method == "POST" and path.endswith("/file")
        if body and not file_upload and headers.get("content-type") != "application/json":
            raise Refusal(400, "JSON is said to be JSON")
        found = self._route(asked)
        status, answer = found if isinstance(found, tuple) else (200, found)
        return status, self.twist(asked.path, answer) if self.twist else answer

    # --- who asks

    def _authenticated(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> str | None:
        found = [headers[name] for name in _HEADERS if name in headers]
        if not found:
            return None
        if len(found) != 4:
            raise Refusal(400, "headers are missing")
        shown, nonce_text, stamp, signature = found
        nonce = base64.b64decode(nonce_text, validate=True)
        if re.fullmatch(r"(?:00|15)[0-9a-f]{64}", shown) is None or len(nonce) != 16:
            raise Refusal(400, "no id, or no nonce")
        if self.blind and shown.startswith("00"):
            raise Refusal(400, "this server requires blinding")
        if abs(time.time() - int(stamp)) > 86_400:
            raise Refusal(425, "too far from the server's time")
        key = bytes.fromhex(shown[2:])
        user = shown
        if shown.startswith("00"):
            user = "05" + bindings.crypto_sign_ed25519_pk_to_curve25519(key).hex()
        if user in self.banned:
            raise Refusal(403, "banned")
        if (user, nonce) in self._nonces:
            raise Refusal(425, "a nonce serves once")
        self._nonces.add((user, nonce))
        hashed = hashlib.blake2b(body).digest() if body else b""
        text = self.key + nonce + stamp.encode() + method.encode() + unquote(target).encode() + hashed
        if not _verifies(key, base64.b64decode(signature, validate=True), text):
            raise Refusal(401, "the signature does not verify")
        self._users[user] = key
        return user

    def _signed(self, user: str, told: Mapping[str, Any]) -> None:
        """Whether a post is the author's, and padded."""
        data, signature = (base64.b64decode(told[name], validate=True) for name in ("data", "signature"))
        if len(data) % 160 or not data.rstrip(b"\0").endswith(b"\x80"):
            raise Refusal(400, "a post is padded")
        if user.startswith("05"):
            # XEd25519: the top bit says which of the two keys it is.
            key = self._users[user]
            if (signature[63] & 0x80) != (key[31] & 0x80):
                raise Refusal(400, "the signature is of the other key")
            signature = signature[:63] + bytes([signature[63] & 0x7F])
        if not _verifies(self._users[user], signature, data):
            raise Refusal(400, "the post's signature does not verify")

    # --- what is asked

    def _route(self, asked: SogsRequest) -> Any:
        match asked.method, asked.path.split("/")[1:]:
            case "GET", ["capabilities"]:
                return {"capabilities": ["sogs", "reactions", *(["blind"] if self.blind else [])]}
            case "POST", ["batch" | "sequence" as kind]:
                return self._batch(asked, in_order=kind == "sequence")
            case "GET", ["rooms"]:
                return [room.details() for room in self.rooms.values()]
            case "DELETE", ["rooms", "all", user]:
                raise Refusal(403, f"no global moderator may touch {_id(user)}")
            case _, ["room", token, *rest]:
                if token not in self.rooms:
                    raise Refusal(404, "no such room")
                return self._room(asked, self.rooms[token], rest)
            case "POST", ["user", user, action]:
                return self._user(asked, _id(user), action)
            case _, ["inbox" | "outbox" as box, *rest]:
                return self._direct(asked, box, rest)
        raise Refusal(404, "no such call")

    def _batch(self, asked: SogsRequest, *, in_order: bool) -> list[Any]:
        answers = []
        for part in json.loads(asked.body):
            assert part.keys() <= {"method", "path", "headers", "json"}, part
            if (part["method"] in ("POST", "PUT")) is not ("json" in part):
                raise Refusal(400, "a body where there is none, or none where there is one")
            body = json.dumps(part["json"]).encode() if "json" in part else b""
            headers = {"content-type": "application/json"} if body else {}
            try:
                status, answer = self._one(part["method"], part["path"], headers, body, asked.user)
            except Refusal as refusal:
                status, answer = refusal.status, refusal.reason
            answers.append({"code": status, "headers": {"content-type": "application/json"}, "body": answer})
            if in_order and status >= 300:
                break
        return answers

    def _room(self, asked: SogsRequest, room: Room, rest: list[str]) -> Any:
        user = asked.user
        match asked.method, rest:
            case "GET", []:
                return {**room.details(), **room.status(user)}
            case "GET", ["pollInfo", known]:
                details = {"details": room.details()} if int(known) != room.info_updates else {}
                return {**room.status(user), **details}
            case "PUT", []:
                room.moderated_by(user, admin=True)
                told = asked.json("name", "description", "image")
                room.name, room.description = told.get("name", room.name), told.get("description", room.description)
                room.image = told.get("image", room.image)
                room.info_updates += 1
                return {"info_updates": room.info_updates}
            case "GET", ["messages", *which]:
                room.may(user, "read")
                return self._messages(asked, room, which)
            case "GET", ["message", number]:
                return room.entry(room.find(int(number)), user, 4)
            case "POST", ["file"]:
                return self._upload(asked, room)
            case "GET", ["file", number]:
                room.may(user, "read")
                if int(number) not in room.files:
                    raise Refusal(404, "no such file")
                return room.files[int(number)][1]
        if user is None:
            raise Refusal(401, "who asks?")
        room.may(user, "read")
        return self._change(asked, room, rest, user)

    def _messages(self, asked: SogsRequest, room: Room, which: list[str]) -> Any:
        match which:
            case ["recent"]:
                return room.recent(asked.user, asked.limit(), asked.reactors())
            case ["before", number]:
                return room.recent(asked.user, asked.limit(), asked.reactors(), int(number))
            case ["since", number]:
                reactions = asked.query.get("t") == ["r"]
                return room.since(asked.user, int(number), asked.limit(), asked.reactors(), reactions=reactions)
        raise Refusal(404, "no such list")

    def _change(self, asked: SogsRequest, room: Room, rest: list[str], user: str) -> Any:
        match asked.method, rest:
            case "POST", ["message"]:
                room.may(user, "write")
                told = asked.json("data", "signature", "files", "whisper_to", "whisper_mods")
                if "whisper_to" in told or "whisper_mods" in told:
                    room.moderated_by(user)
                self._signed(user, told)
                return 201, room.entry(room.add(self._number(), user, told), user, 4)
            case "PUT", ["message", number]:
                post = room.find(int(number))
                told = asked.json("data", "signature", "files")
                self._signed(user, told)
                if post.author != user:
                    raise Refusal(403, "another's post")
                room.edit(post, told)
                return {}
            case "DELETE", ["message", number]:
                post = room.find(int(number))
                if post.author != user:
                    room.moderated_by(user)
                room.delete(post)
                return {}
            case "DELETE", ["all", author]:
                room.moderated_by(user)
                return {"total": room.delete_all(_id(author))}
            case "POST", ["pin" | "unpin" as action, number]:
                room.moderated_by(user, admin=True)
                asked.json()
                room.pinned = [each for each in room.pinned if number not in ("all", str(each["id"]))]
                if action == "pin":
                    pinned_id = room.find(int(number)).id
                    room.pinned.append({"id": pinned_id, "pinned_at": time.time(), "pinned_by": user})
                room.info_updates += 1
                return {}
            case "PUT" | "DELETE", ["reaction", number, emoji]:
                post = room.find(int(number))
                who = post.reactions.setdefault(emoji, [])
                if asked.method == "PUT":
                    asked.json()
                if (user in who) is (asked.method == "PUT"):
                    return {"added" if asked.method == "PUT" else "removed": False, "seqno": room.seqno}
                who.append(user) if asked.method == "PUT" else who.remove(user)
                return {"added" if asked.method == "PUT" else "removed": True, "seqno": room.changed(post)}
            case "DELETE", ["reactions", number, *emoji]:
                room.moderated_by(user)
                post = room.find(int(number))
                for each in emoji or list(post.reactions):
                    post.reactions.pop(each, None)
                return {"removed": 1, "seqno": room.changed(post)}
            case "GET", ["reactors", number, emoji]:
                return [[who, time.time()] for who in room.find(int(number)).reactions.get(emoji, [])]
            case "POST", ["permissions", other]:
                room.moderated_by(user)
                told = asked.json("accessible", "read", "write", "upload", "default_write")
                room.permissions.setdefault(_id(other), {}).update(told)
                return {}
        raise Refusal(404, "no such call")

    def _upload(self, asked: SogsRequest, room: Room) -> Any:
        if asked.user is None:
            raise Refusal(401, "who asks?")
        room.may(asked.user, "upload")
        disposition = _DISPOSITION.fullmatch(asked.headers.get("content-disposition", ""))
        if disposition is None or asked.headers.get("content-type") != "application/octet-stream":
            raise Refusal(400, "not as a file is sent")
        if len(asked.body) > 10_000_000:
            raise Refusal(413, "too large")
        number = self._number()
        room.files[number] = unquote(disposition[1] or ""), asked.body, None
        return 201, {"id": number}

    def _user(self, asked: SogsRequest, other: str, action: str) -> Any:
        told = asked.json("rooms", "global", "timeout", "admin", "moderator", "visible")
        if "rooms" not in told:
            raise Refusal(403, "nobody is a global moderator")
        for room in [self.rooms[token] for token in told["rooms"]]:
            room.moderated_by(asked.user, admin=action == "moderator")
            match action:
                case "ban":
                    room.banned.add(other)
                case "unban":
                    room.banned.discard(other)
                case "moderator":
                    if told.get("admin") and told.get("moderator") is False:
                        raise Refusal(400, "an admin is a moderator")
                    for names, given in ((room.admins, told["admin"]), (room.moderators, told["moderator"])):
                        names.add(other) if given else names.discard(other)
            room.info_updates += 1
        return {}

    def _direct(self, asked: SogsRequest, box: str, rest: list[str]) -> Any:
        if asked.user is None or not self.blind:
            raise Refusal(401, "blinded users only")
        mine = [each for each in self.inboxes if each["recipient" if box == "inbox" else "sender"] == asked.user]
        match asked.method, rest:
            case "GET", []:
                return mine[-100:]
            case "GET", ["since", number]:
                found = [each for each in mine if each["id"] > int(number)][:100]
                return found or (304, "")
            case "POST", [recipient] if box == "inbox":
                if recipient not in self._users:
                    raise Refusal(404, "nobody of that id has been here")
                base64.b64decode(asked.json("message")["message"], validate=True)
                told = {"id": self._number(), "sender": asked.user, "recipient": _id(recipient)}
                told |= {"posted_at": time.time(), "expires_at": time.time() + 1_209_600}
                self.inboxes.append({**told, "message": json.loads(asked.body)["message"]})
                return 201, told
            case "DELETE", [] if box == "inbox":
                self.inboxes = [each for each in self.inboxes if each not in mine]
                return {"deleted": len(mine)}
        raise Refusal(404, "no such call")

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers


@contextlib.asynccontextmanager
async def sogs_server(*, blind: bool = True) -> AsyncIterator[SogsServer]:
    """Serves until the block ends, with one empty room `lobby`."""
    server = SogsServer(blind)
    server.room("lobby")
    app = web.Application(client_max_size=16 << 20)
    app.router.add_post("/oxen/v4/lsrpc", server.onion)
    app.router.add_route("*", "/{path:.*}", server.plain)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    server.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def v4_parts(plaintext: bytes) -> tuple[dict[str, Any], bytes]:
    """Metadata and body of `l<n>:<metadata>[<n>:<body>]e`."""
    assert plaintext[:1] == b"l" and plaintext[-1:] == b"e"
    size, _, rest = plaintext[1:-1].partition(b":")
    meta, rest = json.loads(rest[: int(size)]), rest[int(size) :]
    if not rest:
        return meta, b""
    length, _, body = rest.partition(b":")
    assert len(body) == int(length)
    return meta, body


def _verifies(key: bytes, signature: bytes, text: bytes) -> bool:
    try:
        bindings.crypto_sign_open(signature + text, key)
    except (CryptoError, ValueError, TypeError, binascii.Error):
        return False
    return True


def _id(user: str) -> str:
    if _ID.fullmatch(user) is None:
        raise Refusal(400, "no id of a user")
    return user
