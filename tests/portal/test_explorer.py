"""The explorer over HTTP: what is escaped, filtered, sorted, downloaded, cached and refused. No browser, no chain."""

from __future__ import annotations

import asyncio
import csv
import gzip
import http.client
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from allium import geography
from allium.appchain.types import MILLI, Address
from allium.portal.explorer import drawings, shown
from allium.portal.explorer.markup import Markup, element, foreign
from allium.portal.explorer.samples import Sample, Samples
from allium.portal.explorer.service import Explorer
from allium.portal.explorer.snapshot import SwarmRow
from allium.portal.limits import Rate
from tests.support.appchain_world import REQUIREMENT, address, pubkey
from tests.support.explorer import HOSTILE, PAYMENTS, ExplorerUnderTest, beneficiary, explored

PAGES = ("", "/nodes", "/swarms", "/countries", "/rewards", "/events", "/names", "/address")
STATES = ("active", "decommissioned", "exit requested", "ready to exit", "deregistered", "refused")
COUNT = 130


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExplorerUnderTest]:
    with explored(tmp_path_factory.mktemp("explorer"), COUNT) as made:
        yield made


class Answer:
    """What came, decompressed."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers = answer.status, answer.headers
        self.raw = answer.read()
        packed = self.headers.get("content-encoding") == "gzip"
        self.body = gzip.decompress(self.raw) if packed else self.raw
        self.text = self.body.decode()


def ask(explorer: ExplorerUnderTest, path: str, method: str = "GET", **headers: str) -> Answer:
    """`path` below the explorer's, as it stands."""
    connection = http.client.HTTPConnection(urlsplit(explorer.url).netloc, timeout=60)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"/explorer{path}", headers=named)
        return Answer(connection.getresponse())
    finally:
        connection.close()


class Tags(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def rows(explorer: ExplorerUnderTest, query: str, name: str = "nodes") -> list[dict[str, Any]]:
    told = json.loads(ask(explorer, f"/{name}.json{query}").body)
    found: list[dict[str, Any]] = told["rows"]
    return found


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_nothing_that_runs_and_is_of_a_height(explorer: ExplorerUnderTest, path: str) -> None:
    answer = ask(explorer, path)
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    tags = Tags(answer.text).found
    assert [attributes["src"] for tag, attributes in tags if tag == "script"] == ["/explorer/static/explorer.js"]
    for _, attributes in tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            assert (attributes.get(name) or "/explorer").startswith(("/explorer", "#"))
    assert {"header", "main", "footer", "nav", "h1", "title"} <= {tag for tag, _ in tags}
    assert f"at height {explorer.world.state.height:,}" in answer.text


def test_what_strangers_say_is_text(explorer: ExplorerUnderTest) -> None:
    assert element("a", {"title": HOSTILE}, HOSTILE).count("<") == 2
    assert element("a", None, Markup("<b></b>"), ["<", [None, 5]]) == "<a><b></b>&lt;5</a>"
    assert "\u202e" not in foreign(HOSTILE) and "\x00" not in foreign(HOSTILE) and len(foreign("x" * 10_000)) < 500
    for path in ("/events?sort=block", f"/events?q={'%3Cscript%3E'}", "/address?address=%3Cimg%20src=x%3E%22"):
        text = ask(explorer, path).text
        assert "&lt;" in text
        assert "<script>" not in text and "<img" not in text and "\u202e" not in text
    assert ask(explorer, "/nodes/%3Cscript%3E").status == 404
    line = next(
        line for line in csv.reader(io.StringIO(ask(explorer, "/events.csv?sort=block").text)) if line[0] == "0"
    )
    assert line[3].startswith("<script>") and json.loads(line[4])["note"] == HOSTILE


def test_every_state_is_shown_as_the_chain_has_it(explorer: ExplorerUnderTest) -> None:
    state = explorer.world.state
    every = rows(explorer, "")
    assert len(every) == len(state.nodes) + len(state.departed)
    assert {row["state"] for row in every} == set(STATES)
    for row in every:
        node = state.nodes.get(pubkey(row["contract_id"] - 1))
        if node is not None:
            assert row["state"] == (
                "decommissioned" if node.decommissioned else "exit requested" if node.unlock_height else "active"
            )
            assert (row["staked"], row["operator_fee"]) == (REQUIREMENT, 500)
            assert [part["amount"] for part in row["contributor_list"]] == [p.amount for p in node.contributors]
            assert row["uptime_seconds"] == (0 if node.decommissioned else state.height - node.active_since)
    [down] = rows(explorer, "?state=decommissioned")
    assert down["reason"] == "did not prove that it is there, was not reached" and down["swarm"] == ""
    page = ask(explorer, f"/nodes/{down['pubkey_ed25519'].upper()}").text
    assert "was not reached" in page and down["pubkey_ed25519"] in page and "Contributors" in page
    assert ask(explorer, f"/nodes/{'0' * 64}").status == 404
    # Countries and versions are by the proofs that a node has kept, else by the operator's list, else not known.
    assert (every[0]["country"], every[0]["version"]) == ("", "")
    assert (every[1]["country"], every[1]["version"]) == ("DE", "")
    assert (every[3]["country"], every[3]["version"]) == (geography.country_of("193.0.6.139"), "2.11.0")


def test_tables_are_sorted_filtered_and_cut(explorer: ExplorerUnderTest) -> None:
    numbers = [row["contract_id"] for row in rows(explorer, "?sort=contract_id&order=desc")]
    assert numbers == sorted(numbers, reverse=True)
    versions = [row["version"] for row in rows(explorer, "?sort=version")]
    assert versions == sorted(versions)
    one = rows(explorer, f"?q={beneficiary(7, 1).lower()}")
    assert [row["contract_id"] for row in one] == [8]
    german = rows(explorer, "?country=DE&sort=contract_id")
    assert german and all(row["country"] == "DE" for row in german)
    assert len(rows(explorer, "?q=germany+active&country=DE")) <= len(german)
    assert rows(explorer, "?q=nothing-is-called-that") == []
    assert "Nothing is like that" in ask(explorer, "/nodes?q=nothing-is-called-that").text
    first, second = (re.findall(r'<th scope="row"', ask(explorer, f"/nodes{query}").text) for query in ("", "?page=2"))
    assert (len(first), len(first) + len(second)) == (100, len(numbers))
    assert 'aria-sort="descending"' in ask(explorer, "/nodes?sort=staked&order=desc").text
    # What there is not is as if it were not asked.
    for query in ("?sort=__class__", "?state=x&page=-1", "?page=999999999999", "?%ff=%00&q=%00", "?" + "a=b&" * 30):
        assert ask(explorer, f"/nodes{query}").status == 200
    last = ask(explorer, "/nodes?page=99999").text
    assert len(re.findall(r'<th scope="row"', last)) == len(second)


@pytest.mark.parametrize("name", ["nodes", "swarms", "countries", "rewards", "events", "names"])
def test_downloads_agree_and_say_of_when_they_are(explorer: ExplorerUnderTest, name: str) -> None:
    state = explorer.world.state
    answer = ask(explorer, f"/{name}.json")
    told = json.loads(answer.body)
    assert (told["height"], told["state"], told["total"]) == (state.height, state.root.hex(), len(told["rows"]))
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}-{state.height}.json"'
    lines = list(csv.DictReader(io.StringIO(ask(explorer, f"/{name}.csv").text)))
    assert len(lines) == len(told["rows"]) > 0 and list(lines[0]) == list(told["rows"][0])
    for key in lines[0]:
        if isinstance(told["rows"][0][key], int):
            assert [line[key] for line in lines] == [str(row[key]) for row in told["rows"]]
    assert json.loads(ask(explorer, f"/{name}.json?skip=1").body)["rows"] == told["rows"][1:]
    assert ask(explorer, f"/{name}.xml").status == 404


def test_numbers_are_the_ledgers(explorer: ExplorerUnderTest) -> None:
    state = explorer.world.state
    newest = rows(explorer, "", "rewards")[0]
    people = {part.beneficiary for node in state.nodes.values() for part in node.contributors}
    people |= {part.beneficiary for gone in state.departed.values() for part in gone.contributors}
    assert newest["earned"] == sum(state.ledger.balance(Address(each)) for each in people) // MILLI
    assert (newest["height"], newest["nodes"]) == (state.height, len(state.nodes))
    assert int(newest["staked"]) == len(state.nodes) * REQUIREMENT
    text = ask(explorer, "").text
    for units in (newest["earned"], int(newest["staked"]), 240_000_000 * 10**9, 40_000_000 * 10**9):
        assert f"<b>{shown.sesh(units)}</b>" in text
    assert shown.percent(int(newest["staked"]), 240_000_000 * 10**9) in text
    assert f"{shown.sesh(40_000_000 * 10**9 * 151 // 1000)} SESH" in text
    fees = ask(explorer, "/names").text
    paid = [sum(getattr(each, key) for each in PAYMENTS) for key in ("fee", "to_pool", "to_liquidity")]
    assert paid[0] == sum(paid[1:]) == 7 * 10**9 + 100
    for units in (*paid, 12_345_678_901):
        assert f"<b>{shown.sesh(units)}</b>" in fees
    assert "11.11111101 SESH are for the reward pool" in fees and "Accounts with Pro" in fees
    assert [row["fee"] for row in rows(explorer, "", "names")] == [1, 7 * 10**9, 99]
    assert [row["block"] for row in rows(explorer, f"?q={PAYMENTS[1].payer.lower()}&sort=fee", "names")] == [8]
    who = beneficiary(7, 1)
    earned = state.ledger.balance(address("7 1 beneficiary")) // MILLI
    assert f"{shown.sesh(earned)} SESH" in ask(explorer, f"/address/{who.lower()}").text
    assert "0 SESH" in ask(explorer, f"/address?address=0x{'ab' * 20}").text
    assert ask(explorer, "/address?address=0x12").status == 400


def test_swarms_are_a_ring_and_an_account_finds_its_own(explorer: ExplorerUnderTest) -> None:
    every = rows(explorer, "", "swarms")
    assert sum(row["nodes"] for row in every) == sum(
        node.swarm != 2**64 - 1 for node in explorer.world.state.nodes.values()
    )
    account = "05" + "00" * 24 + every[2]["swarm"]
    assert (
        f'It maps to swarm <a href="/explorer/nodes?swarm={every[2]["swarm"]}">'
        in ask(explorer, f"/swarms?account={account}").text
    )
    assert "66 hex digits" in ask(explorer, "/swarms?account=zz").text
    ring = [SwarmRow(0, 5, 2**63), SwarmRow(2**63, 5, 2**63)]
    assert drawings.ring(ring, None).count('class="swarm"') == 2
    assert drawings.ring([], None).count("<path") == 0


def test_an_answer_is_made_once_and_not_sent_twice(explorer: ExplorerUnderTest) -> None:
    first = ask(explorer, "/nodes")
    packed = ask(explorer, "/nodes", accept_encoding="gzip")
    assert packed.body == first.body and len(packed.raw) < len(first.raw) // 4
    made = [each for place, each in explorer.explorer._kept.items() if place == ("nodes", "?")]
    assert len(made) == 1
    for answer, accepted in ((first, "identity"), (packed, "br, gzip;q=0.5")):
        tag = answer.headers["etag"]
        again = ask(explorer, "/nodes", if_none_match=f'"x", W/{tag}', accept_encoding=accepted)
        assert (again.status, again.raw, again.headers["etag"]) == (304, b"", tag)
    assert ask(explorer, "/nodes", "HEAD").raw == b""
    assert [each for place, each in explorer.explorer._kept.items() if place == ("nodes", "?")] == made
    style = ask(explorer, "/static/explorer.css")
    assert (
        style.headers["content-type"] == "text/css; charset=utf-8" and "max-age=3600" in style.headers["cache-control"]
    )
    # Another height is another answer.
    explorer.world.step()
    explorer.show()
    other = ask(explorer, "/nodes", if_none_match=first.headers["etag"])
    assert other.status == 200 and other.headers["etag"] != first.headers["etag"]


def test_what_is_kept_has_an_end(explorer: ExplorerUnderTest) -> None:
    for number in range(600):
        assert ask(explorer, f"/names?q={number}").status == 200
    kept = explorer.explorer._kept
    assert len(kept) == 512 and sum(each.size for each in kept.values()) == explorer.explorer._bytes


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/nothing", "GET", 404),
        ("/static/../service.py", "GET", 404),
        ("/static/%2e%2e/service.py", "GET", 404),
        ("/nodes/../../etc/passwd", "GET", 404),
        ("/nodes.csv/x", "GET", 404),
        ("/nodes", "POST", 405),
        ("/" + "a" * 2000, "GET", 414),
        ("/nodes?q=" + "a" * 2000, "GET", 414),
    ],
)
def test_what_cannot_be_answered_is_a_page(explorer: ExplorerUnderTest, path: str, method: str, status: int) -> None:
    answer = ask(explorer, path, method)
    assert answer.status == status and "<h1>" in answer.text
    assert answer.headers["cache-control"] == "no-store" and "etag" not in answer.headers


def test_a_flood_is_refused(explorer: ExplorerUnderTest) -> None:
    requests = explorer.requests
    most, requests._most = requests._most, 5
    try:
        answers = [ask(explorer, "/nodes.csv") for _ in range(30)]
    finally:
        requests._most = most
        requests._used.clear()
    refused = [answer for answer in answers if answer.status == 429]
    assert refused and int(refused[0].headers["retry-after"]) > 0


def test_a_part_that_fails_takes_nothing_else_along(explorer: ExplorerUnderTest, tmp_path: Path) -> None:
    async def run() -> None:
        failed = asyncio.Event()

        async def fail() -> None:
            failed.set()
            raise RuntimeError

        source: Any = SimpleNamespace(figures=None, run=fail)
        samples = Samples(tmp_path / "samples.sqlite")
        other = Explorer(explorer.now, samples, source, Rate(9, 9), str, tmp_path / "none.json", None)
        task = asyncio.create_task(other.run())
        await failed.wait()
        while not await asyncio.to_thread(samples.all):
            assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        samples.close()

    explorer.run(run())


def test_samples_thin_out_and_stay(tmp_path: Path) -> None:
    def sample(time: int) -> Sample:
        return Sample(time, time // 120, 1, 2, 2, 3, 10**20, 4, 5, 6)

    start, hour, day = 1_750_032_000, 3600, 86_400
    samples = Samples(tmp_path / "samples.sqlite")
    for number in range(40 * 24):
        samples.keep(sample(start + number * hour))
        samples.keep(sample(start + number * hour + 9))
    samples.close()
    again = Samples(tmp_path / "samples.sqlite")
    kept = [each.time for each in again.all()]
    again.close()
    last = start + (40 * 24 - 1) * hour
    recent = [time for time in kept if time >= last - 31 * day]
    old = [time for time in kept if time < last - 31 * day]
    assert recent == list(range(recent[0], last + 1, hour)) and len(recent) == 31 * 24 + 1
    assert old == list(range(start, old[-1] + 1, day)) and len(old) >= 8


def test_countries_are_known_by_address() -> None:
    assert [geography.country_of(ip) for ip in ("8.8.8.8", "193.0.6.139", "127.0.0.1", "10.0.0.1", "::1", "x")] == [
        "US",
        "NL",
        "",
        "",
        "",
        "",
    ]
    assert geography.name_of("DE") == "Germany" and geography.name_of("") == "Unknown"
    world = geography.world()
    assert len(world.countries) > 240 and all(country.name for country in world.countries.values())
    assert all(re.fullmatch(r"[Mlz0-9, -]*", country.outline) for country in world.countries.values())


@pytest.mark.parametrize(
    ("units", "text"), [(0, "0"), (1, "0.000000001"), (25_000 * 10**9, "25,000"), (-1_500_000_000, "-1.5")]
)
def test_amounts_are_shown_to_the_unit(units: int, text: str) -> None:
    assert shown.sesh(units) == text


def test_times_beyond_all_calendars_are_none() -> None:
    assert "1970-01-01 00:00:01 UTC" in shown.moment(1)
    for seconds in (-1, 0, 2**62):
        assert "never" in shown.moment(seconds) and "never" in shown.minute(seconds)
    assert "<svg" in drawings.line("chart", "t", [(2**61, 0), (2**62, 1)], 1, "w")
