"""BLS in the contract: the published vectors, and agreement with the engine."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allium import _native
from tests.support.chain import NO_SIGNATURE, ZERO, Chain, Node, raw, words

DST = bytes.fromhex("ff54977c9d08fb9098f6beae0e4634cb9b2d4c2b9c86f0b3e2f2f0073b73f51c")
#: Tags of the main network's contract.
HASH_TAG = bytes.fromhex("d857cbedbbe8a1ef31e7da11d2bf76bedd605f2bb420e5362a7dde61a4fdb24e")
MAINNET = _native.BlsDomain(42161, bytes.fromhex("c2b9fc251ac068763ebdfdecc792e3352e351c00"))
P = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47


@pytest.fixture(scope="module")
def probe(deployed_chain: Chain) -> Any:
    return deployed_chain.probe("BlsProbe").functions


def test_hashing_to_the_curve_matches_the_published_vector(probe: Any) -> None:
    assert probe.hash_to_g2(b"asdf", DST).call() == [
        19189915860137431079386522879690122856688294325465708199336832782170312067121,
        15535223446109944113608034043028578815523886415276106172424605798046484857389,
        6360731316450783452006337331860083449871826567543820590988699106738714548980,
        16837432134274790228040920419929221854111066928434534723565854753119425243509,
    ]


def test_square_roots_match_the_published_vectors(probe: Any) -> None:
    for square, root in (
        (
            (
                18400763209162137698378342072679747343805045379991482883044659141807904813804,
                3757716903061301937348252070019908304499894848840852657694527662312163652493,
            ),
            [
                21113773905939110219807704586191458336348141462234245963448200970029289972960,
                4757623815106826332652416853619432081835467211624617316558602106633360047377,
            ],
        ),
        (
            (
                18643117260133094081555630496908182148979888402907667429281989499686433042481,
                18767426827650792022715527615257676532671283520119768371866051896505585913537,
            ),
            [
                13983740723413048141287686746094829568564621238524191737326450062318360253841,
                7253166406823230892838512371946295413549476296573503802098707278836650652634,
            ],
        ),
        ((4, 0), [0, 0]),  # a root with a zero component counts for none
    ):
        assert probe.sqrt(*square).call() == root


def test_keys_add_up(probe: Any) -> None:
    one, other, both = (
        words(bytes.fromhex(key))
        for key in (
            "12c59fb45c483177873406e5b74a2e6914fe25a591185f30d2788e737da6f2ed"
            "016e56f330d11faaf90ec281b1c4184e98a52d4043075fcbe45a976de0f795ab",
            "2ef6b73ab4486484de80681753a6a90c6a88a71f60aace9520fe6bb8bb8de34e"
            "29b8f2a87a758a89c394b121298b946dce9ada3226b5d008e54e54ddcd9e5227",
            "040a638a13320ea807115f1e7865c89c70d2d3df83e2e8c3eaea519e18b6e6b0"
            "019081a4475388be53e1088f6ec0dd79f99fc794709b9cf8b1ad401a9c4d3413",
        )
    )
    assert tuple(probe.add(one, other).call()) == both
    assert tuple(probe.add(one, (0, 0)).call()) == one
    assert tuple(probe.add(one, (one[0], P - one[1])).call()) == (0, 0)


def test_signatures_of_the_reference_verify(probe: Any) -> None:
    for secret, message, signature in (
        (  # proof of possession, key A
            0x1234567890ABCDF0,
            MAINNET.possession_message(
                _native.BlsSecretKey(0x1234567890ABCDF0.to_bytes(32, "big")).public,
                bytes.fromhex("66d801a70615979d82c304b7db374d11c232db66"),
                bytes.fromhex("3621a81c1ef05d48fc9be9dd590ab0869a70fa751e40d8fbebdb0d90e285dbd8"),
            ),
            "230f764ccb8b759ec6adacb6be3270d8a3161a3b205da1d0debad814efb6e9fb"
            "0f86ea7ef6400b3d372c73d28e5c9f3d25d777ddcfa72b2b37ea48ece33e8f84"
            "0243d299874f76fc4996a13ac6443d6a0e2c442d99c6a16b596346eb3b8e1d90"
            "17a672f4dce79391d0756479f8bde4cd437a3999fa8e470ffbb16bf89efffe1a",
        ),
        (  # exit of key A, signed by key B
            int("22" * 32, 16),
            MAINNET.exit_message(_native.BlsSecretKey(0x1234567890ABCDF0.to_bytes(32, "big")).public, 1750000000),
            "118bbff1c3f2f75d6d03bdea932472050d3de68acc691a485d3fd7c2250b8f1a"
            "1a98a20d114578d8af8bff6038480db009261d05a102c254162d43b1714ac52f"
            "01152ecfd9d0ff3bc8068c3c0d2bd9a90d0cdd87469114bdcd865bbab27b2790"
            "1460768da6ea584ca2fedb5382f4d29f4e2e4763b39c3746f37fbdc03a94ee26",
        ),
    ):
        secret_key = _native.BlsSecretKey(secret.to_bytes(32, "big"))
        assert MAINNET.sign(secret_key, message).hex() == signature
        key, parts = words(secret_key.public), words(bytes.fromhex(signature))
        assert probe.verify(key, message, HASH_TAG, parts).call()
        assert not probe.verify(key, message[1:], HASH_TAG, parts).call()
        assert not probe.verify(key, message, DST, parts).call()


def test_an_aggregate_of_the_reference_verifies(probe: Any) -> None:
    message = MAINNET.reward_message(bytes.fromhex("66d801a70615979d82c304b7db374d11c232db66"), 123456789012345)
    key = words(
        bytes.fromhex(
            "18c4433a6e2392ea9277f641ec0c3bcd16d12a38edccd9f425ec26e75615b6ed"
            "0ce1ec3b62cad3409059adb4df29b286d78fdf8ed1c4bd7917c2f02b070c1b6e"
        )
    )
    signature = words(
        bytes.fromhex(
            "0dce182ab2f6008996d0d1d86d91e2587e75ca5c9ea53f3e403ddad5ac372575"
            "23983dc5c6003253d252cf3b6b22f34f710eb5da1874ae126eeff090d90f7e03"
            "06799be6661ffb1b92d657dfd92bdcea95f481ea44c335f90f78679bc51003a5"
            "2f9e4610f80ec10abe13a4e233a8c21f3702d582abd2becabdce9274c75ef2ab"
        )
    )
    assert probe.verify(key, message, HASH_TAG, signature).call()


@settings(max_examples=60, deadline=None)
@given(message=st.binary(max_size=148))
def test_contract_and_engine_hash_alike(probe: Any, message: bytes) -> None:
    assert tuple(probe.hash_to_g2(message, HASH_TAG).call()) == words(MAINNET.hash_to_g2(message))


def test_contract_and_engine_hash_alike_when_the_counter_rises(probe: Any) -> None:
    """Half of all messages need a second try, and half of those a third; the tags differ too."""
    generator = random.Random(5)
    for number in range(64):
        contract = generator.randbytes(20)
        domain = _native.BlsDomain(number, contract)
        message = domain.reward_message(contract, number)
        tag = _hash_tag(number, contract)
        assert tuple(probe.hash_to_g2(message, tag).call()) == words(domain.hash_to_g2(message))


def _hash_tag(chain_id: int, contract: bytes) -> bytes:
    from eth_utils.crypto import keccak

    return keccak(b"BLS_SIG_HASH_TO_FIELD_TAG" + chain_id.to_bytes(32, "big") + contract)


def test_contract_and_engine_verify_alike(chain: Chain, probe: Any) -> None:
    tag = chain.rewards.functions.hashToG2Tag().call()
    for _ in range(8):
        node = Node()
        message = chain.domain.exit_message(node.secret.public, chain.now)
        signature = chain.domain.sign(node.secret, message)
        assert chain.domain.verify(node.secret.public, message, signature)
        assert probe.verify(node.key, message, tag, words(signature)).call()
        other = Node()
        assert not chain.domain.verify(other.secret.public, message, signature)
        assert not probe.verify(other.key, message, tag, words(signature)).call()


def test_points_that_are_none_are_refused_by_both(chain: Chain, probe: Any) -> None:
    node = Node()
    message = b"message"
    good = chain.domain.sign(node.secret, message)
    tag = chain.rewards.functions.hashToG2Tag().call()
    x_re, x_im, y_re, y_im = words(good)
    for signature in ((x_re + 1, x_im, y_re, y_im), (P, x_im, y_re, y_im), (2**256 - 1,) * 4, (1, 2, 3, 4)):
        assert not chain.domain.verify(
            node.secret.public, message, b"".join(part.to_bytes(32, "big") for part in signature)
        )
        assert chain.refused(probe.verify(node.key, message, tag, signature), chain.alice) == (
            "Error",
            "Invalid Signature",
        )
    x, y = node.key
    for key in ((x, y + 1), (x + P, y), (x, y + P), (0, y), (x, 0)):
        with pytest.raises(ValueError, match="not a point"):
            _native.bls_aggregate_keys([b"".join(part.to_bytes(32, "big") for part in key)])
        assert chain.refused(probe.verify(key, message, tag, words(good)), chain.alice) == (
            "Error",
            "Invalid Signature",
        )
        assert chain.refused(probe.add(key, node.key), chain.alice) == (
            "Error",
            "Call to precompiled contract for add failed",
        )


def test_a_secret_key_of_the_engine() -> None:
    secret = _native.BlsSecretKey.random()
    assert _native.BlsSecretKey(secret.to_bytes()).public == secret.public
    assert len(secret.to_bytes()) == 32 and len(secret.public) == 64
    assert _native.BlsSecretKey.random().public != secret.public
    assert secret.to_bytes().hex() not in repr(secret)
    for wrong in (bytes(32), bytes(31), bytes(33), b""):
        with pytest.raises(ValueError, match="BLS secret key"):
            _native.BlsSecretKey(wrong)
    for nothing in (_native.bls_aggregate_keys, _native.bls_aggregate_signatures):
        with pytest.raises(ValueError, match="zero"):
            nothing([])
    with pytest.raises(ValueError, match="not a point of the subgroup"):
        _native.bls_aggregate_signatures([bytes(128)])


def test_the_contracts_tags_are_the_engines(chain: Chain) -> None:
    rewards = chain.rewards.functions
    key = Node().secret.public
    assert chain.domain.possession_message(key, raw(ZERO), bytes(32))[:32] == rewards.proofOfPossessionTag().call()
    assert chain.domain.reward_message(raw(ZERO), 1)[:32] == rewards.rewardTag().call()
    assert chain.domain.exit_message(key, 1)[:32] == rewards.exitTag().call()
    assert chain.domain.liquidation_message(key, 1)[:32] == rewards.liquidateTag().call()
    assert _hash_tag(chain.addresses.chain_id, raw(chain.addresses.rewards)) == rewards.hashToG2Tag().call()


def test_a_proof_of_possession_is_for_one_operator_and_one_node(chain: Chain) -> None:
    node = Node()
    proof = chain.possession(node, chain.alice)
    check = chain.rewards.functions.validateProofOfPossession
    chain.send(check(node.key, proof, chain.alice, node.params()[0]), chain.dave)
    for call in (
        check(node.key, proof, chain.bob, node.params()[0]),
        check(node.key, proof, chain.alice, node.params()[0] + 1),
        check(Node().key, proof, chain.alice, node.params()[0]),
        check(node.key, NO_SIGNATURE, chain.alice, node.params()[0]),
    ):
        assert chain.refused(call, chain.alice) == ("InvalidBLSProofOfPossession",)
