"""What only the owner does: the password, forgetting, several accounts, telephones, the entry in the menu."""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import http.client
import json
import plistlib
import shlex
import signal
import ssl
import stat
import subprocess
import sys
import urllib.error
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from allium.messenger import describe, install
from allium.messenger import service as locking
from allium.messenger.access import DEVICE_SECONDS, LINK_SECONDS, Access
from allium.messenger.api import OPERATIONS
from allium.messenger.pairing import SECONDS, TRIES, Door, Pairing
from allium.messenger.places import Places
from tests.support.messenger import Messenger


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Messenger]:
    """A service without accounts and without a network."""
    made = Messenger(tmp_path / "data", None, "--port", "0").start()
    yield made
    made.close()


def make(service: Messenger, name: str, **more: Any) -> dict[str, Any]:
    account: dict[str, Any] = service.do("POST", "/api/accounts", {"display_name": name, **more})
    return account


def test_without_a_network_all_can_be_read_and_what_is_written_waits(service: Messenger) -> None:
    account = make(service, "Alice")
    path = f"/api/accounts/{account['id']}"
    upload = service.do("POST", f"{path}/uploads?name=a.txt", b"text")
    other = "05" + "ab" * 32
    sent = service.do(
        "POST", f"{path}/conversations/{other}/messages", {"text": "hello", "attachments": [upload["id"]]}
    )
    plain = service.do("POST", f"{path}/conversations/{other}/messages", {"text": "hello"})
    assert [sent["state"], plain["state"]] == ["sending", "sending"]
    service.end(signal.SIGKILL)
    service.start()
    shown = service.get(f"{path}/conversations/{other}/messages")["messages"]
    assert [(each["text"], each["state"]) for each in shown] == [("hello", "sending")] * 2
    assert service.ask("GET", shown[0]["attachments"][0]["url"]).body == b"text"
    assert service.get(f"{path}/path") == {"hops": [], "guard_ok": False}
    assert service.get(f"{path}/phrase")["words"] == 13


def test_what_one_takes_away_comes_back(service: Messenger, tmp_path: Path) -> None:
    account = make(service, "Alice")
    path = f"/api/accounts/{account['id']}"
    notes = f"{path}/conversations/{account['account_id']}"
    upload = service.do("POST", f"{path}/uploads?name=a.txt&type=text/plain", b"text")
    sent = service.do("POST", f"{notes}/messages", {"text": "kept for later", "attachments": [upload["id"]]})
    service.do("POST", f"{notes}/messages", {"text": "without a file"})
    info = service.get(f"{path}/messages/{sent['id']}/info")
    assert (info["waiting_for_files"], info["ways"], info["stored_on"]) == (True, [], None)
    assert [each["id"] for each in service.get(f"{notes}/media")["messages"]] == [sent["id"]]
    assert service.get(f"{notes}/media?kind=media")["messages"] == []

    def written(what: str, wanted: dict[str, Any]) -> Any:
        with service.events() as events:
            job = service.do("POST", f"{path}/{what}", wanted)["job"]
            ended = events.until("job_changed", lambda event: event["job"]["id"] == job)["job"]
        assert service.get(f"{path}/jobs/{job}") == ended
        return ended

    page = tmp_path / "notes.html"
    wanted = {"format": "html", "path": str(page), "conversation": account["account_id"]}
    assert written("exports", wanted)["state"] == "done"
    assert "kept for later" in page.read_text()
    assert written("exports", {**wanted, "conversation": "05" + "00" * 32})["state"] == "failed"
    for wrong in ("relative", str(service.directory / "x"), str(tmp_path / "none" / "x")):
        assert service.ask("POST", f"{path}/backups", {"path": wrong}).status == 400
    backup = {"path": str(tmp_path / "backup"), "password": "a password"}
    assert written("backups", backup)["state"] == "done"
    opened = {"path": backup["path"], "backup_password": "a password"}
    assert service.ask("POST", "/api/backups/restore", opened).json["error"] == "refused"
    service.do("DELETE", path)
    assert service.ask("POST", "/api/backups/restore", {**opened, "backup_password": "x"}).status in (403, 409)
    back = service.do("POST", "/api/backups/restore", opened)
    assert back["account_id"] == account["account_id"]
    where = f"/api/accounts/{back['id']}/conversations/{account['account_id']}/messages"
    assert [each["text"] for each in service.get(where)["messages"]] == ["kept for later", "without a file"]


def test_a_password_locks_and_unlocks(service: Messenger) -> None:
    account = make(service, "Alice")
    path = f"/api/accounts/{account['id']}"
    assert service.ask("POST", "/api/lock", {}).status == 409
    service.do("PUT", "/api/password", {"new": "correct horse"})
    assert service.ask("PUT", "/api/password", {"new": "another", "old": "wrong"}).status == 403
    assert service.ask("POST", "/api/accounts", {"display_name": "Bob", "password": "wrong one"}).status == 403
    make(service, "Bob", password="correct horse")
    with service.events() as events:
        cursor = events.cursor
        service.do("POST", "/api/lock")
        events.until("locked")
        state = service.get("/api/state")
        assert (state["locked"], state["accounts"], state["password"]) == (True, [], True)
        for method, where in (("GET", path), ("GET", f"{path}/phrase"), ("GET", f"{path}/conversations")):
            assert service.ask(method, where).status == 423
        assert service.ask("POST", "/api/accounts", {"display_name": "C", "password": "correct horse"}).status == 423
        assert service.ask("POST", "/api/unlock", {"password": "wrong"}).json["error"] == "forbidden"
        with service.events(cursor) as again:
            assert again.hello["resumed"] is False
        service.do("POST", "/api/unlock", {"password": "correct horse"})
        events.until("unlocked")
    names = [each["display_name"] for each in service.get("/api/state")["accounts"]]
    assert names == ["Alice", "Bob"]
    service.end()
    service.start()
    assert service.get("/api/state")["locked"] is True
    service.do("POST", "/api/unlock", {"password": "correct horse"})
    assert [each["open"] for each in service.get("/api/state")["accounts"]] == [True, True]


def test_the_keychain_opens_it_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "keychain"
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.support.file_keychain.FileKeychain")
    monkeypatch.setenv("FILE_KEYCHAIN", str(kept))
    service = Messenger(tmp_path / "data", None, "--port", "0").start()
    try:
        make(service, "Alice", password="a password")
        assert service.ask("PUT", "/api/keychain", {"password": "another"}).status == 403
        service.do("PUT", "/api/keychain", {"password": "a password"})
        service.end()
        service.start()
        state = service.get("/api/state")
        assert (state["locked"], state["keychain"], len(state["accounts"])) == (False, True, 1)
        service.do("POST", "/api/lock")
        assert service.get("/api/state")["locked"] is True
        service.do("POST", "/api/unlock", {"password": "a password"})
        service.do("POST", "/api/forget", {"confirm": "forget this device"})
        assert kept.read_text() == "{}"
    finally:
        service.close()


async def test_it_locks_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locking, "LOOK_SECONDS", 0.01)
    service = locking.Service(Places(tmp_path), seeds=["http://127.0.0.1:1/"])
    try:
        await service.start()
        service.set_auto_lock(60)
        asked, has_password = asyncio.Event(), service.has_password

        def ask() -> bool:
            asked.set()
            return has_password()

        monkeypatch.setattr(service, "has_password", ask)
        service.used(-3601.0)
        await asked.wait()
        assert not service.locked and "was not locked" not in caplog.text
        service.used()
        await service.add("Alice", None, "a password")
        listener = service.hub.listen(None)
        assert listener is not None and not service.locked
        service.used(-3601.0)
        async with asyncio.timeout(60):
            while '"locked"' not in str(await listener.get()):
                continue
        assert service.locked and (await service.state()).accounts == []
    finally:
        await service.close()


def test_what_cannot_be_opened_hinders_no_other_account(service: Messenger) -> None:
    for name in ("Alice", "Bob"):
        make(service, name)
    service.end()
    (service.directory / "accounts" / "a1" / "account.db").write_bytes(b"spoilt" * 1000)
    service.start()
    spoilt, whole = service.get("/api/state")["accounts"]
    assert (spoilt["open"], whole["open"], whole["display_name"]) == (False, True, "Bob")
    assert spoilt["error"]
    assert service.ask("GET", "/api/accounts/a1/conversations").json["error"] == "refused"
    assert service.do("DELETE", "/api/accounts/a1") == {"nodes": []}
    assert [each["id"] for each in service.get("/api/state")["accounts"]] == ["a2"]


def test_the_same_account_is_not_opened_twice_and_is_restored_by_its_phrase(service: Messenger) -> None:
    account = make(service, "Alice")
    phrase = service.get(f"/api/accounts/{account['id']}/phrase")["phrase"]
    assert service.ask("POST", "/api/accounts", {"phrase": phrase}).json["error"] == "refused"
    service.do("DELETE", f"/api/accounts/{account['id']}")
    restored = service.do("POST", "/api/accounts", {"phrase": f"  {phrase.upper()} "})
    assert restored["account_id"] == account["account_id"]


def test_forgetting_leaves_nothing(service: Messenger) -> None:
    account = make(service, "Alice")
    service.do("POST", f"/api/accounts/{account['id']}/uploads?name=a", b"text")
    browser = service.browser()
    # The page itself may not be built.
    with contextlib.suppress(urllib.error.HTTPError):
        browser.open(service.do("POST", "/api/links")["url"])
    browser.open(service.url + "/api/state")
    assert service.ask("POST", "/api/forget", {"confirm": "yes"}).status == 400
    assert (
        "max-age=0"
        in service.ask("POST", "/api/forget", {"confirm": "forget this device"}).headers["set-cookie"].lower()
    )
    left = {each.name for each in service.directory.rglob("*") if each.is_file()}
    assert left == {"api-token", "pid", "running.json"}
    assert service.get("/api/state")["accounts"] == []
    with pytest.raises(OSError, match="401"):
        browser.open(service.url + "/api/state")


def test_everything_is_for_its_owner_alone(service: Messenger) -> None:
    account = make(service, "Alice")
    service.do("POST", f"/api/accounts/{account['id']}/uploads?name=a", b"text")
    service.do("POST", "/api/links")
    assert stat.S_IMODE(service.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((service.directory / "api-token").stat().st_mode) == 0o600
    uploads = service.directory / "accounts" / account["id"] / "uploads"
    assert stat.S_IMODE(uploads.stat().st_mode) == 0o700


def test_settings_are_kept(service: Messenger) -> None:
    path = f"/api/accounts/{make(service, 'Alice')['id']}"
    changed = {"read_receipts": True, "link_previews": True, "community_requests": False, "auto_lock_minutes": 5}
    service.do("PATCH", f"{path}/settings", changed)
    assert service.ask("PATCH", f"{path}/settings", {"auto_lock_minutes": -1}).status == 400
    service.do("POST", f"{path}/phrase/seen")
    service.do("PATCH", path, {"display_name": "Alicia"})
    service.end()
    service.start()
    found = service.get(f"{path}/settings")
    assert {name: found[name] for name in changed} == changed
    shown = service.get(path)
    assert (shown["display_name"], shown["phrase_seen"]) == ("Alicia", True)


def test_files_of_others_run_nowhere(service: Messenger) -> None:
    account = make(service, "Alice")
    path = f"/api/accounts/{account['id']}"
    contents = {
        "a.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "a.html": b"<!doctype html><script>alert(1)</script>",
        "photo.png": b"<html><script>alert(1)</script>",
        "real.gif": b"GIF89a<script>alert(1)</script>",
        'a";\r\nx: y.js': b"alert(1)",
    }
    uploads = []
    for name, content in contents.items():
        uploads.append(service.do("POST", f"{path}/uploads?{_query(name=name, type='text/html')}", content)["id"])
    notes = f"{path}/conversations/{account['account_id']}/messages"
    sent = service.do("POST", notes, {"attachments": uploads})
    for file, content in zip(sent["attachments"], contents.values(), strict=True):
        answer = service.ask("GET", file["url"])
        assert answer.body == content
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        shown = file["name"] == "real.gif"
        assert answer.headers["content-type"] == ("image/gif" if shown else "application/octet-stream")
        assert answer.headers["content-disposition"].startswith("inline" if shown else "attachment")
        assert "x" not in answer.headers


def _query(**values: str) -> str:
    from urllib.parse import urlencode

    return urlencode(values)


def test_a_second_start_opens_the_first(service: Messenger) -> None:
    command = [sys.executable, "-m", "allium", "messenger", "--data-dir", str(service.directory), "--no-browser"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    link = urlsplit(done.stdout.strip())
    assert link.netloc == service.host
    assert service.ask("GET", f"{link.path}?{link.query}", known=False).status == 303


def test_a_telephone_comes_in_by_a_code_and_goes_by_a_command(tmp_path: Path) -> None:
    service = Messenger(tmp_path / "data", None, "--port", "0", "--listen", "127.0.0.1:0").start(lines=3)
    try:
        shown = urlsplit(service.told[0].split()[1])
        told = {name: value for name, [value] in parse_qs(shown.fragment).items()}
        certificate = ssl.get_server_certificate((str(shown.hostname), int(shown.port or 0)))
        found = sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
        assert told["fingerprint"] == found
        assert service.told[1].split()[-1].replace(":", "").lower() == found

        phone = Telephone(shown.netloc)
        assert phone.ask("GET", "/api/state")[0] == 401
        wrong = "0" * 8 if told["pair"] != "0" * 8 else "1" * 8
        statuses = [phone.ask("POST", "/api/pair", {"code": wrong})[0] for _ in range(TRIES + 1)]
        assert statuses == [403] * TRIES + [429]
        assert phone.ask("POST", "/api/pair", {"code": told["pair"]})[0] == 429, "it was burnt"
        pairing = service.do("POST", "/api/pairing")
        assert service.ask("POST", "/api/pair", {"code": pairing["code"]}, known=False).status == 409, "not over TLS"
        assert phone.ask("POST", "/api/pair", {"code": pairing["code"], "name": "Phone"})[0] == 200
        assert phone.ask("GET", "/api/state")[0] == 200
        assert phone.ask("POST", "/api/pair", {"code": pairing["code"]})[0] == 429, "it is good once"
        assert service.ask("GET", "/api/state", headers={"Cookie": phone.cookie}, known=False).status == 401

        [device] = [each for each in service.get("/api/devices") if each["remote"]]
        assert device["name"] == "Phone"
        command = [sys.executable, "-m", "allium", "messenger", "devices"]
        listed = subprocess.run(
            [*command, "list", "--data-dir", service.directory], capture_output=True, text=True, timeout=60, check=True
        )
        assert device["id"] in listed.stdout
        subprocess.run([*command, "revoke", device["id"], "--data-dir", service.directory], timeout=60, check=True)
        assert phone.ask("GET", "/api/state")[0] == 401
        svg = service.ask("GET", "/api/qr?" + _query(text=pairing["url"]))
        assert svg.headers["content-type"] == "image/svg+xml" and svg.body.startswith(b"<?xml")
    finally:
        service.close()


class Telephone:
    """A browser somewhere else."""

    def __init__(self, host: str) -> None:
        self._host, self.cookie = host, ""

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self._host, context=context, timeout=60)
        headers = {"Content-Type": "application/json", "Cookie": self.cookie, "Origin": f"https://{self._host}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        if (given := answer.headers["set-cookie"]) is not None:
            assert "secure" in given.lower()
            self.cookie = given.partition(";")[0]
        content = answer.read()
        connection.close()
        return answer.status, content


def test_links_codes_and_devices_end_with_time(tmp_path: Path) -> None:
    now = [1_000_000.0]
    access = Access(Places(tmp_path), lambda: now[0])
    link = access.link()
    now[0] += LINK_SECONDS + 1
    assert access.follow(link, "late") is None
    secret = access.follow(access.link(), "in time")
    assert secret is not None and access.device(secret) is not None
    now[0] += DEVICE_SECONDS + 1
    assert access.device(secret) is None
    pairing = Pairing(Door("https://here", "00"), lambda: now[0])
    code = pairing.code()
    now[0] += SECONDS + 1
    assert pairing.use(code) is None
    assert pairing.use("") is None


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_menu_runs_the_command_as_it_is_written(platform: str, tmp_path: Path) -> None:
    command = ["/opt/my py/python", "-m", "allium", "messenger", "--data-dir", '/home/a "b" $c 100%/d']
    made = install.entries(command, autostart=True, platform=platform, home=tmp_path, environment={})
    ran: list[Sequence[str]] = []
    install.install(made, run=ran.append)
    menu, login, *links = (each.path for each in made)
    values = install.registry(command, platform)
    assert (ran, values) == ([], []) or platform != "linux"
    text = menu.read_text()
    if platform == "linux":
        entry = configparser.RawConfigParser()
        entry.read_string(text)
        # One layer of quoting is of the file, the other of the command, as a shell has it.
        run = entry["Desktop Entry"]["Exec"].replace("\\\\", "\\").replace("%%", "%")
        shown = subprocess.run(["sh", "-c", f"printf '%s\\n' {run}"], capture_output=True, text=True, check=True)
        assert shown.stdout.splitlines() == command
        assert "--no-browser" in login.read_text()
        assert " --open %u\n" in links[0].read_text() and "x-scheme-handler/session;" in links[0].read_text()
    elif platform == "darwin":
        assert shlex.split(text.splitlines()[1]) == ["exec", *command]
        assert menu.stat().st_mode & 0o100
        assert plistlib.loads(login.read_bytes())["ProgramArguments"] == [*command, "--no-browser"]
        about = plistlib.loads(links[0].read_bytes())
        assert about["CFBundleURLTypes"][0]["CFBundleURLSchemes"] == ["session", "web+session"]
        [[*made_by], [_, _, program]] = ran
        assert made_by[:3] == ["osacompile", "-o", program] and links[0] == Path(program, "Contents", "Info.plist")
        # One layer of quoting is of AppleScript, the other of the shell.
        opened = next(each for each in made_by if "theLink &" in each)
        spoken = opened.partition('"')[2].partition('" & quoted form')[0]
        run = spoken.replace('\\"', '"').replace("\\\\", "\\")
        assert shlex.split(run) == [*command, "--open"]
    else:
        assert [(each.key, each.name) for each in values[:2]] == [
            (r"Software\Classes\session", ""),
            (r"Software\Classes\session", "URL Protocol"),
        ]
        assert values[2].key == r"Software\Classes\session\shell\open\command"
        assert values[2].text.endswith(' --open "%1"') and '"/opt/my py/python" -m allium' in values[2].text
        assert len(values) == 6 and not links
        assert "100%%" in text and '"/opt/my py/python"' in text
    assert install.remove(made) == [menu, login, *links]
    assert not menu.exists()


def test_the_page_of_the_api_has_every_operation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api" / "messenger.md").read_text()
    assert page.endswith(describe.table(OPERATIONS)), "write the table anew: `describe.table(OPERATIONS)`"
    described = describe.document(OPERATIONS, "1")
    assert sum(map(len, described["paths"].values())) == len(OPERATIONS)
    names = [each["operationId"] for methods in described["paths"].values() for each in methods.values()]
    assert len(set(names)) == len(names)
