"""The tables of the explorer: which columns they have and what can be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from allium import geography
from allium.portal import documents
from allium.portal.documents import amount
from allium.portal.explorer import shown
from allium.portal.explorer.fees import Payment
from allium.portal.explorer.markup import Content, Markup, element, foreign, joined, link, path
from allium.portal.explorer.samples import Sample
from allium.portal.explorer.snapshot import CountryRow, NodeRow, Snapshot, Status, SwarmRow
from allium.portal.explorer.tables import Column, Filter, Table

Made = TypeVar("Made")

_SPACE = 1 << 64


def status(row: NodeRow) -> Markup:
    """How a node is, with why."""
    name = row.status.name.lower().replace("_", "-")
    mark = element("span", {"class": f"status {name}"}, row.status.value)
    return joined(mark, element("small", None, foreign(row.why))) if row.why else mark


def _country(code: str) -> Content:
    return link(path("nodes", country=code), geography.name_of(code)) if code else _unknown()


def _unknown() -> Markup:
    return element("span", {"class": "muted"}, "unknown")


def _swarm(row: NodeRow) -> Content:
    if row.swarm is None:
        return element("span", {"class": "muted"}, "none")
    return link(path("nodes", swarm=row.swarm_name), element("code", None, row.swarm_name))


def _once(make: Callable[[Snapshot], Made]) -> Callable[[Snapshot], Made]:
    """A table is made once for each snapshot."""

    def table(snapshot: Snapshot) -> Made:
        kept: Made | None = snapshot.tables.get(make.__name__)
        if kept is None:
            kept = snapshot.tables[make.__name__] = make(snapshot)
        return kept

    return table


def _node_text(row: NodeRow) -> str:
    told = (
        *(row.pubkey, row.bls_key, str(row.contract_id), row.status, row.contact.version, row.swarm_name),
        *(geography.name_of(row.contact.country), row.why),
        *(person for part in row.contributors for person in (part.address, part.beneficiary)),
    )
    return " ".join(told).lower()


@_once
def nodes(snapshot: Snapshot) -> Table[NodeRow]:
    """All that the contract holds."""
    height = snapshot.state.height
    words = cache(lambda: {row.contract_id: _node_text(row) for row in snapshot.nodes})
    codes = sorted({row.contact.country for row in snapshot.nodes if row.contact.country}, key=geography.name_of)
    swarms = [(swarm.name, swarm.name) for swarm in snapshot.swarms]
    versions = sorted({row.contact.version for row in snapshot.nodes if row.contact.version})
    return Table(
        place=("nodes",),
        caption=f"Nodes at height {height:,}",
        columns=[
            Column("pubkey_ed25519", "Node", lambda row: row.pubkey, lambda row: shown.node(row.pubkey)),
            Column("contract_id", "Number", lambda row: row.contract_id, numeric=True),
            Column("state", "State", lambda row: row.status.value, status),
            Column("reason", "", lambda row: row.why),
            Column(
                "uptime_seconds",
                "Up for",
                lambda row: row.up_seconds,
                lambda row: shown.duration(row.up_seconds) if row.active_since else element("span", None, "down"),
                numeric=True,
            ),
            Column("active_since_height", "", lambda row: row.active_since),
            Column(
                "last_proof",
                "Last proof, UTC",
                lambda row: row.contact.proven,
                lambda row: shown.minute(row.contact.proven) if row.contact.proven else _unknown(),
            ),
            Column(
                "version",
                "Version",
                lambda row: row.contact.version,
                lambda row: foreign(row.contact.version) if row.contact.version else _unknown(),
                order=lambda row: [int(part) for part in row.contact.version.split(".") if part.isdigit()],
            ),
            Column("swarm", "Swarm", lambda row: row.swarm_name, _swarm),
            Column("contributors", "Contributors", lambda row: len(row.contributors), numeric=True),
            Column("contributor_list", "", _people, sortable=False),
            Column(
                "operator_fee",
                "Fee",
                lambda row: row.fee,
                lambda row: shown.basis_points(row.fee),
                numeric=True,
            ),
            Column(
                "staked",
                "Staked, SESH",
                lambda row: amount(row.staked),
                lambda row: shown.sesh(row.staked),
                order=lambda row: row.staked,
                numeric=True,
            ),
            Column("country", "Country", lambda row: row.contact.country, lambda row: _country(row.contact.country)),
            Column("operator", "", lambda row: row.operator),
            Column("registration_height", "", lambda row: row.registration_height),
            Column("requested_unlock_height", "", lambda row: row.unlock_height),
            Column("height", "", lambda row: height, sortable=False),
        ],
        rows=snapshot.nodes,
        text=lambda row: words()[row.contract_id],
        filters=[
            Filter("state", "State", lambda row: row.status.value, [(each.value, each.value) for each in Status]),
            Filter(
                "country",
                "Country",
                lambda row: row.contact.country,
                [(code, geography.name_of(code)) for code in codes],
            ),
            Filter("swarm", "Swarm", lambda row: row.swarm_name, swarms),
            Filter("version", "Version", lambda row: row.contact.version, [(each, each) for each in versions]),
        ],
    )


def _people(row: NodeRow) -> list[dict[str, Any]]:
    return [
        {"address": part.address, "beneficiary": part.beneficiary, "amount": amount(part.amount)}
        for part in row.contributors
    ]


@_once
def swarms(snapshot: Snapshot) -> Table[SwarmRow]:
    """All swarms."""
    height = snapshot.state.height
    return Table(
        place=("swarms",),
        caption=f"Swarms at height {height:,}",
        columns=[
            Column(
                "swarm",
                "Swarm",
                lambda row: row.name,
                lambda row: link(path("nodes", swarm=row.name), element("code", None, row.name)),
            ),
            Column("nodes", "Nodes", lambda row: row.nodes, numeric=True),
            Column(
                "place_percent",
                "Place on the ring",
                lambda row: row.id * 10_000 // _SPACE / 100,
                lambda row: shown.percent(row.id, _SPACE),
                numeric=True,
            ),
            Column(
                "accounts_percent",
                "Part of all accounts",
                lambda row: row.accounts * 10_000 // _SPACE / 100,
                lambda row: shown.percent(row.accounts, _SPACE),
                numeric=True,
            ),
            Column("height", "", lambda row: height, sortable=False),
        ],
        rows=snapshot.swarms,
    )


@_once
def countries(snapshot: Snapshot) -> Table[CountryRow]:
    """Countries with nodes."""
    height, every = snapshot.state.height, snapshot.now.nodes
    return Table(
        place=("countries",),
        caption=f"Nodes by country at height {height:,}",
        columns=[
            Column(
                "name",
                "Country",
                lambda row: row.name,
                lambda row: link(path("nodes", country=row.code), row.name) if row.code else row.name,
            ),
            Column("code", "Code", lambda row: row.code),
            Column("nodes", "Nodes", lambda row: row.nodes, numeric=True),
            Column(
                "nodes_percent",
                "Part",
                lambda row: row.nodes * 10_000 // max(1, every) / 100,
                lambda row: shown.percent(row.nodes, every),
                numeric=True,
            ),
            Column("active", "Active", lambda row: row.active, numeric=True),
            Column("height", "", lambda row: height, sortable=False),
        ],
        rows=snapshot.countries,
    )


def _money(key: str, title: str) -> Column[Any]:
    """A column of amounts, which rows have under its name in atomic units."""
    return Column(
        key,
        title,
        lambda row: amount(getattr(row, key)),
        lambda row: shown.sesh(getattr(row, key)),
        order=lambda row: getattr(row, key),
        numeric=True,
    )


@_once
def rewards(snapshot: Snapshot) -> Table[Sample]:
    """The figures over time, the newest first."""
    return Table(
        place=("rewards",),
        caption="Rewards over time",
        columns=[
            Column("time", "When", lambda row: row.time, lambda row: shown.moment(row.time)),
            Column("height", "Height", lambda row: row.height, numeric=True),
            _money("earned", "Earned by all so far, SESH"),
            _money("reward", "Paid at this height, SESH"),
            _money("staked", "Staked, SESH"),
            Column("nodes", "Nodes", lambda row: row.nodes, numeric=True),
            Column("active", "Active", lambda row: row.active, numeric=True),
            Column("block", "EVM block", lambda row: row.block, numeric=True),
            _money("claimed", "Claimed so far, SESH"),
            _money("pool", "In the pool, SESH"),
        ],
        rows=snapshot.samples[::-1],
    )


@_once
def payments(snapshot: Snapshot) -> Table[Payment]:
    """What was paid in fees for names and for Pro, the newest first."""
    contracts = snapshot.figures
    found = () if contracts is None else contracts.payments
    block = 0 if contracts is None else contracts.payments_block
    return Table(
        place=("names",),
        caption=f"Fees that were split, up to block {block:,}",
        columns=[
            Column("block", "Block", lambda row: row.block, order=lambda row: (row.block, row.log_index), numeric=True),
            Column("log_index", "", lambda row: row.log_index),
            Column("payer", "Paid by", lambda row: row.payer, lambda row: shown.account(row.payer)),
            _money("fee", "Fee, SESH"),
            _money("to_pool", "To the reward pool, SESH"),
            _money("to_liquidity", "To liquidity, SESH"),
            Column("tx", "Transaction", lambda row: row.tx, lambda row: shown.short(row.tx), sortable=False),
            Column("known_up_to_block", "", lambda row: block, sortable=False),
        ],
        rows=found[::-1],
        text=lambda row: f"{row.payer} {row.tx} {row.block}".lower(),
    )


@_once
def events(snapshot: Snapshot) -> Table[documents.Event]:
    """What the contracts said, the newest first."""
    return events_among(snapshot, snapshot.index.events)


def events_among(snapshot: Snapshot, found: Sequence[documents.Event]) -> Table[documents.Event]:
    """Some of it, the newest first."""
    names = sorted({event.name for event in found})
    return Table(
        place=("events",),
        caption=f"Events of the contracts up to block {snapshot.tip.block:,}",
        columns=[
            Column("block", "Block", lambda row: row.block, order=lambda row: (row.block, row.log_index), numeric=True),
            Column("log_index", "Log", lambda row: row.log_index, sortable=False, numeric=True),
            Column("name", "Event", lambda row: row.name),
            Column("main_arg", "About", lambda row: row.main_arg, _about, order=lambda row: row.main_arg or ""),
            Column("args", "Arguments", lambda row: row.args, _arguments, sortable=False),
            Column("tx", "Transaction", lambda row: row.tx, lambda row: shown.short(row.tx), sortable=False),
        ],
        rows=found[::-1],
        text=lambda row: snapshot.event_texts[row.block, row.log_index],
        filters=[Filter("name", "Event", lambda row: row.name, [(name, name) for name in names])],
    )


def _about(event: documents.Event) -> Content:
    told = event.main_arg
    if told is None:
        return None
    return shown.account(told) if told.startswith("0x") and len(told) == 42 else foreign(told)


def _arguments(event: documents.Event) -> Markup:
    told = msgspec.json.encode(event.args).decode()
    if len(told) <= 80:
        return element("code", {"class": "args"}, foreign(told))
    summary = element("summary", None, f"{len(event.args)} arguments")
    rows = [
        element("div", None, element("dt", None, foreign(name)), element("dd", None, foreign(_argument(value))))
        for name, value in event.args.items()
    ]
    return element("details", None, summary, element("dl", {"class": "args"}, rows))


def _argument(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
