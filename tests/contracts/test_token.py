"""The token as any token is to be (ERC-20), and permits (ERC-2612): what holds for all amounts and signatures."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allium.devnet import anvil
from tests.support.chain import Chain

#: secp256k1's.
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
UNLIMITED = 2**256 - 1
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

PERMIT = [
    {"name": "owner", "type": "address"},
    {"name": "spender", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]
amounts = st.integers(0, 10**15) | st.integers(2**255, UNLIMITED)
people = st.integers(1, 3)
steps = st.lists(
    st.tuples(st.just("transfer"), people, people, amounts)
    | st.tuples(st.just("approve"), people, people, amounts)
    | st.tuples(st.just("spend"), people, people, people, amounts),
    min_size=1,
    max_size=8,
)


@FEW
@given(steps)
def test_what_one_has_less_another_has_more(chain: Chain, steps: list[tuple[Any, ...]]) -> None:
    token, accounts = chain.token.functions, chain.w3.eth.accounts
    who = range(1, 4)
    supply = token.totalSupply().call()
    balances = {one: chain.balance(accounts[one]) for one in who}
    allowances = {
        (owner, spender): token.allowance(accounts[owner], accounts[spender]).call() for owner in who for spender in who
    }
    for step in steps:
        match step:
            case ("transfer", sender, to, amount):
                call, fails = token.transfer(accounts[to], amount), amount > balances[sender]
            case ("approve", sender, to, amount):
                call, fails = token.approve(accounts[to], amount), False
                allowances[sender, to] = amount
            case ("spend", sender, source, to, amount):
                call = token.transferFrom(accounts[source], accounts[to], amount)
                fails = amount > min(allowances[source, sender], balances[source])
        if fails:
            assert chain.refused(call, accounts[sender])[0] in (
                "ERC20InsufficientBalance",
                "ERC20InsufficientAllowance",
            )
            continue
        receipt = chain.send(call, accounts[sender])
        if step[0] == "approve":
            assert chain.events(receipt, chain.token) == [("Approval", accounts[sender], accounts[to], amount)]
            continue
        paid = sender if step[0] == "transfer" else source
        assert chain.events(receipt, chain.token) == [("Transfer", accounts[paid], accounts[to], amount)]
        balances[paid] -= amount
        balances[to] += amount
        if step[0] == "spend" and allowances[source, sender] != UNLIMITED:
            allowances[source, sender] -= amount
    assert {one: chain.balance(accounts[one]) for one in who} == balances
    for (owner, spender), allowance in allowances.items():
        assert token.allowance(accounts[owner], accounts[spender]).call() == allowance
    assert token.totalSupply().call() == supply


def signed(chain: Chain, signer: int = 1, **fields: Any) -> tuple[dict[str, Any], int, int, int]:
    """What alice permits bob, but for `fields`; and somebody's signature."""
    token = chain.token.functions
    _, name, version, chain_id, contract, _, _ = token.eip712Domain().call()
    asked = {"owner": chain.alice, "spender": chain.bob, "value": 7, "deadline": UNLIMITED, **fields}
    nonce = token.nonces(asked["owner"]).call()
    domain = {"name": name, "version": version, "chainId": chain_id, "verifyingContract": contract}
    message = encode_typed_data(domain, {"Permit": PERMIT}, {**asked, "nonce": nonce})
    signature = Account.sign_message(message, anvil.account(signer).key)
    return asked, signature.v, signature.r, signature.s


def permit(chain: Chain, asked: dict[str, Any], v: int, r: int, s: int) -> Any:
    owner, spender, value, deadline = asked.values()
    r_bytes, s_bytes = r.to_bytes(32, "big"), s.to_bytes(32, "big")
    return chain.token.functions.permit(owner, spender, value, deadline, v, r_bytes, s_bytes)


@FEW
@given(amounts, st.integers(0, 10**6) | st.just(UNLIMITED), people)
def test_a_permit_counts_once_and_is_an_approval(chain: Chain, amount: int, ahead: int, carrier: int) -> None:
    deadline = ahead if ahead == UNLIMITED else chain.now + 60 + ahead
    asked, *signature = signed(chain, value=amount, deadline=deadline)
    token, before = chain.token.functions, chain.token.functions.nonces(chain.alice).call()
    receipt = chain.send(permit(chain, asked, *signature), chain.w3.eth.accounts[carrier])
    assert chain.events(receipt, chain.token) == [("Approval", chain.alice, chain.bob, amount)]
    assert token.allowance(chain.alice, chain.bob).call() == amount
    assert token.nonces(chain.alice).call() == before + 1
    refused = chain.refused(permit(chain, asked, *signature), chain.dave)
    assert refused[0] == "ERC2612InvalidSigner" and refused[2] == chain.alice


@FEW
@given(st.sampled_from(["owner", "spender", "value", "deadline"]), st.integers(1, 10**9))
def test_a_permit_is_for_what_was_signed(chain: Chain, field: str, more: int) -> None:
    asked, *signature = signed(chain, deadline=chain.now + 10**10)
    asked[field] = chain.carol if field in ("owner", "spender") else asked[field] + more
    refused = chain.refused(permit(chain, asked, *signature), chain.dave)
    assert refused[0] == "ERC2612InvalidSigner" and refused[2] == asked["owner"]


@FEW
@given(amounts)
def test_a_signature_has_one_form(chain: Chain, amount: int) -> None:
    """Whoever sees one could make another of it, which would be as good: only the lower one is."""
    asked, v, r, s = signed(chain, value=amount)
    other = permit(chain, asked, 55 - v, r, ORDER - s)
    assert chain.refused(other, chain.dave) == ("ECDSAInvalidSignatureS", (ORDER - s).to_bytes(32, "big"))


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_what_is_no_signature_is_nobodys(chain: Chain, v: int) -> None:
    asked, _, r, s = signed(chain)
    assert chain.refused(permit(chain, asked, v, r, s), chain.dave) == ("ECDSAInvalidSignature",)
    # Not even the owner who is nobody.
    asked["owner"] = "0x" + "00" * 20
    assert chain.refused(permit(chain, asked, v, r, s), chain.dave) == ("ECDSAInvalidSignature",)


def test_a_permit_is_over_at_its_deadline(chain: Chain) -> None:
    asked, *signature = signed(chain, deadline=chain.now - 1)
    assert chain.refused(permit(chain, asked, *signature), chain.dave) == ("ERC2612ExpiredSignature", chain.now - 1)
