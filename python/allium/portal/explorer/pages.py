"""The explorer's pages, each a function of the snapshot and of what is asked."""

from __future__ import annotations

from allium import _native, geography
from allium.portal.explorer import drawings, lists, shown
from allium.portal.explorer.layout import facts, figures, note, page, part
from allium.portal.explorer.markup import Content, element, foreign, joined, link, path
from allium.portal.explorer.snapshot import MEANINGS, POOL_PART, YEAR_SECONDS, NodeRow, Snapshot, Status
from allium.portal.explorer.tables import Query, plain_table, text_field

_LATEST = 12
_SAMPLES = 10
_UNIT = 10**9
#: What a pool that pays 15.1 % of what it holds at each moment has paid after a year, in hundredths of a percent.
EFFECTIVE = 1402


def overview(snapshot: Snapshot) -> bytes:
    """The network in numbers."""
    now, state, contracts = snapshot.now, snapshot.state, snapshot.figures
    height, block = shown.source("height", now.height), shown.source("block", now.block)
    given: list[tuple[str, Content, Content]] = [
        ("Nodes", shown.whole(now.nodes), height),
        ("Active", shown.whole(now.active), height),
        ("Staked, SESH", shown.sesh(now.staked), height),
    ]
    if contracts is not None:
        at = shown.source("block", contracts.block)
        sources = joined(height, ", ", at)
        given += [
            ("Supply, SESH", shown.sesh(contracts.supply), at),
            ("Staked part of the supply", shown.percent(now.staked, contracts.supply), sources),
        ]
    given += [
        ("In the reward pool, SESH", shown.sesh(now.pool), block),
        ("Paid at each height, SESH", shown.sesh(now.reward), height),
        ("Earned by all so far, SESH", shown.sesh(now.earned), height),
        ("Claimed so far, SESH", shown.sesh(now.claimed), block),
    ]
    states = [
        (
            link(path("nodes", state=each.value), each.value),
            shown.whole(snapshot.by_status.get(each, 0)),
            MEANINGS[each],
        )
        for each in Status
    ]
    events = lists.events_among(snapshot, snapshot.index.events[-_LATEST:])
    shown_columns = [column for column in events.columns if column.key != "log_index"]
    return page(
        snapshot,
        "",
        "Overview",
        figures(*given),
        part(
            "Nodes by state",
            plain_table(f"Nodes by state at height {state.height:,}", _STATE_TITLES, states),
            note(height),
        ),
        part("The pool and what it pays", _pool(snapshot)),
        part("Rewards over time", _rewards(snapshot)),
        part(
            "Latest events",
            plain_table(
                f"Latest events up to block {now.block:,}",
                [(column.title, column.numeric) for column in shown_columns],
                [[column.shown(row) for column in shown_columns] for row in events.rows],
            )
            if events.rows
            else note("The contracts have not said anything yet."),
            note(link(path("events"), "All events")),
        ),
    )


_STATE_TITLES = [("State", False), ("Nodes", True), ("What it means", False)]


def _pool(snapshot: Snapshot) -> Content:
    now, earning = snapshot.now, snapshot.earning
    year = now.pool * POOL_PART // 1000
    seconds = max(1, snapshot.state.parameters.block_seconds)
    effective = now.pool * EFFECTIVE // 10_000
    per_node = now.reward * (YEAR_SECONDS // seconds) // earning if earning else 0
    requirement = snapshot.state.requirement
    return (
        element(
            "p",
            None,
            "At every moment the pool pays at a rate of 15.1 % a year of what it holds then. As it holds less and "
            "less, that comes to about 14 % (14.02 %) of what it holds now within a year, if nobody adds to it.",
        ),
        facts(
            ("In the pool", joined(shown.sesh(now.pool), " SESH ", shown.source("block", now.block))),
            ("A year at the rate of now", joined(shown.sesh(year), " SESH ", shown.source("block", now.block))),
            ("Within a year, about 14 %", joined(shown.sesh(effective), " SESH ", shown.source("block", now.block))),
            (
                "A year of the reward of now, by node that earns",
                joined(
                    shown.sesh(per_node),
                    f" SESH for each of {earning:,}, before the operator's fee: ",
                    shown.percent(per_node, requirement),
                    f" of {shown.sesh(requirement)} SESH ",
                    shown.source("height", now.height),
                ),
            ),
        ),
        note("What others will stake, and what comes into the pool, nobody knows: these are no promises."),
    )


def _rewards(snapshot: Snapshot) -> Content:
    samples, now = snapshot.samples, snapshot.now
    if not samples:
        return note("Nothing is known of them before the first block.")
    words = (
        f"Earned by all: {shown.sesh(samples[0].earned)} SESH at height {samples[0].height:,}, "
        f"{shown.sesh(now.earned)} SESH at height {now.height:,}."
    )
    drawn = drawings.line(
        "chart", "SESH earned by all so far", [(each.time, each.earned) for each in samples], _UNIT, words
    )
    rows = [
        (shown.minute(each.time), shown.whole(each.height), shown.sesh(each.earned), shown.sesh(each.reward))
        for each in samples[::-1][:_SAMPLES]
    ]
    titles = [("When, UTC", False), ("Height", True), ("Earned by all so far, SESH", True), ("Paid at it, SESH", True)]
    return (
        element(
            "div", {"class": "beside"}, element("figure", None, drawn), plain_table("Latest samples", titles, rows)
        ),
        note("Kept once an hour since this explorer runs. ", link(path("rewards"), "All of it, with downloads")),
    )


def nodes(snapshot: Snapshot, query: Query) -> bytes:
    """All nodes."""
    return page(snapshot, "nodes", "Nodes", lists.nodes(snapshot).markup(query))


def node(snapshot: Snapshot, row: NodeRow) -> bytes:
    """One node."""
    state = snapshot.state
    height = shown.source("height", state.height)
    people = [
        (
            shown.account(each.address),
            shown.account(each.beneficiary),
            shown.sesh(each.amount),
            shown.percent(each.amount, row.staked),
        )
        for each in row.contributors
    ]
    titles = [("Address", False), ("Rewards go to", False), ("Staked, SESH", True), ("Part", True)]
    events = lists.events_among(snapshot, snapshot.index.of_node.get(row.contract_id, []))
    columns = [column for column in events.columns if column.title]
    leaves = state.parameters.block_seconds * max(0, row.unlock_height - state.height)
    return page(
        snapshot,
        "nodes",
        f"Node {row.contract_id:,}",
        facts(
            ("State", joined(lists.status(row), ": ", MEANINGS[row.status], " ", height)),
            ("Ed25519 key", shown.key(row.pubkey)),
            ("BLS key", shown.key(row.bls_key)),
            ("Operator", shown.account(row.operator) if row.operator else "nobody"),
            ("Operator's fee", joined(shown.basis_points(row.fee), " ", height)),
            ("Staked", joined(shown.sesh(row.staked), " SESH ", height)),
            ("Earns now", "yes" if row.payable else "no"),
            (
                "Up without a break",
                joined(f"{shown.duration(row.up_seconds)}, since height {row.active_since:,} ", height)
                if row.active_since
                else "no",
            ),
            (
                "May be down for",
                joined(f"{row.credit:,} heights, about {shown.duration(row.credit * state.parameters.block_seconds)}"),
            ),
            ("Decommissioned so far", f"{row.decommission_count:,} times"),
            ("Last proof", shown.moment(row.contact.proven) if row.contact.proven else "not known here"),
            ("Version", foreign(row.contact.version) if row.contact.version else "not known here"),
            (
                "Swarm",
                link(path("nodes", swarm=row.swarm_name), element("code", None, row.swarm_name))
                if row.swarm is not None
                else "in none",
            ),
            ("Country", geography.name_of(row.contact.country)),
            ("Registered at height", shown.whole(row.registration_height)) if row.registration_height else None,
            (
                "Last height as a member",
                joined(
                    shown.whole(row.unlock_height), f", in about {shown.duration(leaves)}" if leaves else ", passed"
                ),
            )
            if row.unlock_height
            else None,
            ("May be liquidated from height", shown.whole(row.liquidation_height))
            if row.liquidation_height is not None
            else None,
        ),
        part("Contributors", plain_table("Contributors of this node", titles, people) if people else note("None.")),
        part(
            "Events",
            plain_table(
                "Events of this node",
                [(column.title, column.numeric) for column in columns],
                [[column.shown(each) for column in columns] for each in events.rows],
            )
            if events.rows
            else note("None."),
        ),
    )


def swarms(snapshot: Snapshot, query: Query, account: str) -> bytes:
    """The ring, and where an account is on it."""
    ids = [row.id for row in snapshot.swarms]
    marked, said = None, None
    if account:
        try:
            marked = _native.swarm_of(account, ids)
            found = f"{marked:016x}" if marked is not None else ""
            said = joined("It maps to swarm ", link(path("nodes", swarm=found), element("code", None, found)), ".")
        except ValueError:
            said = joined("An Account ID is 66 hex digits.")
        if marked is None and not ids:
            said = joined("There are no swarms.")
    form = element(
        "form",
        {"class": "filters", "method": "get", "action": path("swarms")},
        text_field("account", "Account ID", account, 66),
        element("button", {"type": "submit"}, "Find its swarm"),
        element("p", {"role": "status"}, said),
    )
    return page(
        snapshot,
        "swarms",
        "Swarms",
        element(
            "p",
            None,
            "The nodes of a swarm keep the messages of the accounts that map to it: those whose place on a ring of 2",
            element("sup", None, "64"),
            " places is nearest to the swarm's. The arcs outside are the accounts, the dots the swarms, larger "
            "with more nodes.",
        ),
        form,
        element("figure", {"class": "centred"}, drawings.ring(snapshot.swarms, marked)) if ids else "",
        lists.swarms(snapshot).markup(query),
    )


def countries(snapshot: Snapshot, query: Query) -> bytes:
    """The map."""
    counts = {row.code: row.nodes for row in snapshot.countries if row.code}
    credits = [
        element("li", None, f"{what}: {where}; licence: {licence}") for what, where, licence in geography.CREDITS
    ]
    return page(
        snapshot,
        "countries",
        "Countries",
        element("figure", None, drawings.world_map(counts)),
        note("The stronger the colour, the more nodes. ", shown.source("height", snapshot.state.height)),
        lists.countries(snapshot).markup(query),
        part(
            "Where that is from",
            element(
                "p",
                None,
                "A node's country is that of its public address, in a list that was made on one day: of some addresses "
                "it is wrong. Nobody outside is asked.",
            ),
            element("ul", {"class": "plain"}, credits),
        ),
    )


def rewards(snapshot: Snapshot, query: Query) -> bytes:
    """The figures over time."""
    return page(
        snapshot,
        "rewards",
        "Rewards",
        part("Over time", _rewards(snapshot)),
        part("The pool and what it pays", _pool(snapshot)),
        part("Every sample", lists.rewards(snapshot).markup(query)),
    )


def events(snapshot: Snapshot, query: Query) -> bytes:
    """What the contracts said."""
    return page(snapshot, "events", "Events", lists.events(snapshot).markup(query))


#: What nobody can tell, and why: the names of figures that people look for, and where they would be.
_UNTOLD = (
    (
        "Names that are registered",
        "No contract of this network sells names, and nodes do not count those that they know.",
    ),
    ("Price of a name", "There is none without a contract that sells names."),
    ("Accounts with Pro", "Only the service that sells Pro knows them, and it tells no number."),
    ("Price of Pro", "It is set where Pro is sold, and stands on no chain."),
    ("Which fee was for what", "The contract that splits fees is told an amount, and by whom it is paid; no purpose."),
)


def names(snapshot: Snapshot, query: Query) -> bytes:
    """What the chain has of names and of Pro: the fees, where there is a contract that splits them."""
    contracts = snapshot.figures
    untold = part(
        "What has no source",
        plain_table("Figures without a source", [("Figure", False), ("Why there is none", False)], _UNTOLD),
    )
    if contracts is None or contracts.splitter is None:
        none = "This network has no contract that takes fees for names or for Pro, as far as this portal knows."
        return page(snapshot, "names", "Names and Pro", note(none), untold)
    paid = contracts.payments
    known, block = shown.source("block", contracts.payments_block), shown.source("block", contracts.block)
    sum_of = {key: sum(getattr(each, key) for each in paid) for key in ("fee", "to_pool", "to_liquidity")}
    waiting = contracts.splitter * contracts.pool_percent // 100
    rest = contracts.splitter - waiting
    return page(
        snapshot,
        "names",
        "Names and Pro",
        element(
            "p",
            None,
            "Fees for names and for Pro go to one contract, which passes ",
            f"{contracts.pool_percent} % on to the reward pool and the rest to the network's liquidity.",
        ),
        figures(
            ("Fees paid so far, SESH", shown.sesh(sum_of["fee"]), known),
            ("Of that to the reward pool, SESH", shown.sesh(sum_of["to_pool"]), known),
            ("Of that to liquidity, SESH", shown.sesh(sum_of["to_liquidity"]), known),
            ("Payments", shown.whole(len(paid)), known),
            ("Payers", shown.whole(len({each.payer for each in paid})), known),
            ("Waits to be split, SESH", shown.sesh(contracts.splitter), block),
        ),
        note(f"Of what waits, {shown.sesh(waiting)} SESH are for the reward pool, {shown.sesh(rest)} for liquidity."),
        part("Every payment", lists.payments(snapshot).markup(query)),
        untold,
    )


def address_form(snapshot: Snapshot, given: str, wrong: bool) -> bytes:
    """The look-up."""
    return page(
        snapshot,
        "address",
        "Address",
        _look_up(given, "An address is 0x and 40 hex digits." if wrong else None),
    )


def _look_up(given: str, said: str | None) -> Content:
    return element(
        "form",
        {"class": "filters", "method": "get", "action": path("address")},
        text_field("address", "Address", given, 42, **({"aria-invalid": "true"} if said else {})),
        element("button", {"type": "submit"}, "Look up"),
        element("p", {"role": "status"}, said),
    )


def address(snapshot: Snapshot, account: str) -> bytes:
    """What one checksummed address has earned, staked and claimed."""
    told = snapshot.epoch.view.rewards(account)
    height = shown.source("height", snapshot.state.height)
    money = [
        (title, joined(shown.sesh(int(units)), " SESH ", height))
        for title, units in (
            ("Rewards so far", told.lifetime_rewards),
            ("Rewards not claimed", int(told.lifetime_rewards) - int(told.claimed_rewards)),
            ("Rewards claimed", told.claimed_rewards),
            ("Staked now", told.locked_stakes),
            ("Stakes on their way back", told.timelocked_stakes),
            ("Stakes claimed", told.claimed_stakes),
        )
    ]
    rows = []
    for row in snapshot.by_account.get(account, []):
        own = sum(each.amount for each in row.contributors if each.address == account)
        rows.append((shown.node(row.pubkey), lists.status(row), shown.sesh(own), shown.basis_points(row.fee)))
    titles = [("Node", False), ("State", False), ("Staked by it, SESH", True), ("Operator's fee", True)]
    return page(
        snapshot,
        "address",
        "Address",
        _look_up(account, None),
        element("p", None, shown.key(account)),
        facts(*money),
        part("Nodes", plain_table("Nodes of this address", titles, rows) if rows else note("None.")),
    )


def problem(snapshot: Snapshot | None, title: str, words: str) -> bytes:
    """What to say where there is no page."""
    return page(snapshot, "none", title, element("p", None, words), note(link(path(), "To the overview")))
