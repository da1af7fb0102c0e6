"""`allium dashboard`: own nodes over their sockets, what is said of risks, and what they bring after fee and gas."""

from __future__ import annotations

import io
import json
import socket
import threading
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Group

from allium.appchain.ledger.shares import split
from allium.appchain.types import MILLI, MilliAtomic
from allium.base.console import out
from allium.operate import dashboard, status_screen
from allium.operate.chain_facts import StakeFacts
from allium.operate.dashboard import Costs, Dashboard, NodeReport
from tests.support.appchain_world import RATE, REQUIREMENT, network, pubkey, stakes
from tests.support.devnet import Devnet
from tests.support.status import allium


def test_own_nodes_are_asked_over_their_sockets(small_chain: Devnet, tmp_path: Path) -> None:
    places = [node["data_dir"] for node in small_chain.nodes]
    asked = [part for place in places for part in ("--data-dir", place)]
    code, output = allium("dashboard", *asked, "--gas-price", "0.1", "--sesh-per-eth", "50000", "--json")
    told = json.loads(output)
    assert [node["directory"] for node in told["nodes"]] == places
    for node in told["nodes"]:
        assert node["state"] == "active" and node["staked"] == REQUIREMENT and node["daily"] > 0
    assert told["yearly"] == told["daily"] * 365 == sum(node["daily"] for node in told["nodes"]) * 365
    assert told["costs"]["wei_a_year"] == 12 * told["costs"]["gas"] * 10**8
    assert told["net_a_year"] == told["yearly"] - told["costs"]["wei_a_year"] * 50_000 // 10**9
    assert code == (0 if told["well"] else 1)
    # By what the chain says gas costs, and one that is not there.
    rpc = small_chain.network["chain"]["rpc_url"]
    code, shown = allium("dashboard", *asked, "--data-dir", str(tmp_path), "--rpc", rpc)
    shown = " ".join(shown.split())
    assert code == 1 and "its log and `allium doctor` say why" in shown and "12 claims a year cost" in shown
    assert "of 4 nodes need looking after" in shown


def told_by_a_node(**changed: Any) -> dict[str, Any]:
    """What a node that is well says, of what the dashboard looks at, with something else."""
    stake = StakeFacts(registered=True, staked=REQUIREMENT, credit=500, min_credit=60, income=10_000_000, fee=500)
    chain = {"height": 100, "proven": 9_000.0, "proof_validity": 7200.0, "block_seconds": 120, "stake": vars(stake)}
    told: dict[str, Any] = {
        "problems": [],
        "now": 10_000.0,
        "started": 0.0,
        "silence": 120.0,
        "pinged": {"https": 9_990, "omq": 9_980, "quic": 9_999},
        "engine": {"nodes": 10},
        "chain": chain,
    }
    for name, value in changed.items():
        where = chain["stake"] if name in vars(stake) else chain if name in chain else told
        assert isinstance(where, dict)
        where[name] = value
    return told


def found(**changed: Any) -> list[str]:
    return [finding.what for finding in dashboard.judged("here", told_by_a_node(**changed)).findings]


def test_a_risk_is_told_before_it_is_one() -> None:
    report = dashboard.judged("here", told_by_a_node())
    assert report == NodeReport(
        "here",
        "active",
        (),
        proof_age=1000.0,
        proof_validity=7200.0,
        credit=500 * 120,
        tested=20.0,
        staked=REQUIREMENT,
        fee=500,
        daily=10_000_000 * 720 // MILLI,
    )
    assert not report.at_risk
    [risk] = found(proven=10_000.0 - 4000)
    assert "4000 s old" in risk and "7200 s" in risk
    [risk] = found(pinged={"https": 9_930, "omq": 9_999})
    assert "for 70 s nobody has tested it" in risk
    [risk] = found(credit=59)
    assert "59 heights" in risk and "fewer than 60" in risk
    # Beyond the limit the node says so itself, and once.
    assert found(proven=1.0, problems=[{"level": "failed", "what": "no proof", "remedy": "look"}]) == ["no proof"]
    assert found(pinged={"https": 9_000}) == []
    assert found(decommissioned=True, credit=-5) == []
    down = dashboard.judged("here", told_by_a_node(decommissioned=True, credit=-5))
    assert (down.state, down.daily, down.credit) == ("decommissioned", 0, 0)
    gone = dashboard.judged("here", told_by_a_node(registered=False))
    assert (gone.state, gone.daily) == ("not registered", 0)
    assert dashboard.judged("here", told_by_a_node() | {"chain": None}).state == "unknown"


def test_income_is_what_the_ledger_pays() -> None:
    world = network(6, 8)
    world.register(9, stakes(REQUIREMENT // 4, REQUIREMENT // 4 * 3, owner=9), fee=1000)
    state = world.steps(10)
    node = state.nodes[pubkey(9)]
    before = state.ledger.balance(node.contributors[0].beneficiary)
    facts = StakeFacts.of(state, node.pubkey)
    after = world.step().ledger.balance(node.contributors[0].beneficiary)
    assert facts.is_payable and facts.income == after - before > 0
    earning = sum(each.is_payable(state.height, state.parameters) for each in state.nodes.values())
    income = MilliAtomic(RATE * state.parameters.block_seconds // 120 * MILLI // earning)
    assert facts.fee == 1000 and facts.income == split(income, node.payee)[0]
    # One that does not earn yet is told what it will.
    world.register(10)
    state = world.step()
    assert not state.nodes[pubkey(10)].is_payable(state.height, state.parameters)
    assert StakeFacts.of(state, pubkey(10)).income > 0


def test_costs_are_taken_off_where_they_are_known() -> None:
    node = NodeReport("here", "active", (), daily=11_031_963_120)
    costs = Costs(claims_a_year=12, gas=500_000, gas_price=10**8, sesh_per_eth=None)
    assert Dashboard((node,), None).net is None and Dashboard((node,), costs).net is None
    assert costs.wei_a_year == 600_000_000_000_000
    priced = Dashboard((node, node), replace(costs, sesh_per_eth=50_000 * 10**9))
    assert priced.net == 2 * 11_031_963_120 * 365 - 30 * 10**9


def test_what_is_no_node_says_so(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "admin.sock"))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n[1]")

        thread = threading.Thread(target=answer)
        thread.start()
        [report] = dashboard.gather([tmp_path]).nodes
        thread.join()
    assert report.state == "away" and "nothing that a node would" in report.findings[0].what


def test_a_status_shows_what_is_wrong_whole() -> None:
    problem = {"level": "failed", "what": "word " * 60 + "end of it", "remedy": "look"}
    with io.StringIO() as output, redirect_stdout(output):
        out.show(Group(status_screen._problem(problem)), width=80)
        assert "end of it" in output.getvalue()


def test_before_the_first_block_nothing_is_projected() -> None:
    node = dashboard.judged("here", told_by_a_node(height=0, registered=False, proven=0.0))
    assert (node.state, node.at_risk, node.proof_age) == ("reading", False, None)
    from allium.cli.dashboard import _screen

    with io.StringIO() as output, redirect_stdout(output):
        out.print(_screen(Dashboard((node,), None)))
        said = " ".join(output.getvalue().split())
    assert "reads the chain" in said and "not known yet: no node has a block" in said and "Projected" not in said
