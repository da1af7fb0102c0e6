"""Calls as a program has them: what is asked of the service, what it tells, and what it refuses."""

from __future__ import annotations

from typing import Any

from tests.messenger.conftest import Person

People = tuple[Person, Person]


def ask(who: Person, what: str, **body: Any) -> Any:
    return who.service.do("POST", f"{who.path}/calls{what}", body)


def refused(who: Person, what: str, **body: Any) -> tuple[int, str]:
    answer = who.service.ask("POST", f"{who.path}/calls{what}", body)
    return answer.status, answer.json["error"]


def signals(who: Person, call: str, after: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = who.service.get(f"{who.path}/calls/{call}/signals?after={after}")["signals"]
    return found


def test_a_program_calls_and_is_called(people: People) -> None:
    alice, bob = people
    settings = alice.service.do("PATCH", f"{alice.path}/settings", {"calls": False})
    assert (settings["calls"], settings["relay_only"], settings["ice_servers"]) == (False, False, None)
    assert refused(alice, "", contact=bob.id) == (409, "refused")
    for each in people:
        each.service.do("PATCH", f"{each.path}/settings", {"calls": True})
    # Nobody but who has accepted us is called: no stranger, not ourselves, no group.
    for nobody in ("05" + "ab" * 32, alice.id, "03" + "ab" * 32, "hello"):
        assert refused(alice, "", contact=nobody)[0] in (400, 409)
    with alice.events() as at_alice, bob.events() as at_bob:
        call = ask(alice, "", contact=bob.id, owner="one")["id"]
        assert refused(alice, "", contact=bob.id) == (409, "refused")
        ask(alice, f"/{call}/offer", sdp="v=0 offer")
        candidate = {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "line_index": 0, "mid": "0"}
        ask(alice, f"/{call}/candidates", candidates=[candidate])
        told = at_bob.until("call_changed", lambda event: event["call"]["signals"] == 2)["call"]
        assert (told["id"], told["phase"], told["outgoing"]) == (call, "ringing", False)
        assert (told["contact"]["name"], told["contact"]["id"]) == ("Alice", alice.id)
        [shown] = [each["call"] for each in bob.service.get("/api/state")["accounts"]]
        assert shown == told == bob.service.get(f"{bob.path}/calls")[0]
        offer, found = signals(bob, call)
        assert (offer["kind"], offer["sdp"], found["candidates"]) == ("offer", "v=0 offer", [candidate])
        assert signals(bob, call, 1) == [found] and signals(bob, call, 1 << 40) == []
        assert refused(bob, f"/{call}/answer", sdp="v=0 too early") == (409, "refused")
        assert ask(bob, f"/{call}/accept", owner="two")["owner"] == "two"
        assert refused(bob, f"/{call}/accept", owner="three") == (409, "refused")
        ask(bob, f"/{call}/answer", sdp="v=0 answer")
        at_alice.until("call_changed", lambda event: event["call"]["phase"] == "connecting")
        assert signals(alice, call)[0]["sdp"] == "v=0 answer"
        for each in people:
            assert ask(each, f"/{call}/alive", connected=True)["phase"] == "connected"
        ended = ask(alice, f"/{call}/end")
        assert (ended["phase"], ended["outcome"]) == ("ended", "answered")
        told = at_bob.until("call_changed", lambda event: event["call"]["phase"] == "ended")["call"]
        assert told["outcome"] == "answered"
    assert alice.service.get(f"{alice.path}/calls") == [] and refused(alice, f"/{call}/alive") == (409, "refused")
    *_, line = [each for each in bob.service.get(f"{bob.with_(alice)}/messages")["messages"] if each["kind"] == "call"]
    assert line["notice"]["state"] == "answered"


def test_the_owner_says_by_which_servers_calls_go(people: People) -> None:
    alice, _ = people
    path = f"{alice.path}/settings"
    # A network of one's own has none but one's own.
    assert alice.service.get(f"{alice.path}/ice") == {"servers": [], "relay_only": False}
    server = {"url": "turn:turn.example.org:3478?transport=udp", "username": "me", "credential": "secret"}
    alice.service.do("PATCH", path, {"ice_servers": [server], "relay_only": True})
    assert alice.service.get(f"{alice.path}/ice") == {"servers": [server], "relay_only": True}
    for wrong in ("http://example.org", "turn:", "turn:a b", "stun:x?transport=sctp", "turn:x:123456", "javascript:1"):
        assert alice.service.ask("PATCH", path, {"ice_servers": [{"url": wrong}]}).status == 400
    assert alice.service.ask("PATCH", path, {"ice_servers": [server] * 9}).status == 400
    changed = alice.service.do("PATCH", path, {"ice_servers": None, "relay_only": False})
    assert (changed["ice_servers"], changed["relay_only"]) == (None, False)


def test_no_page_of_another_site_hears_or_sees(people: People) -> None:
    headers = people[0].service.ask("GET", "/api/state").headers
    assert "camera=(self), microphone=(self)" in headers["permissions-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
