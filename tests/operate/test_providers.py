"""People's commands over providers of the EVM chain that misbehave: a sentence, soon, and nothing of the URL's key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode

from allium.base import urls
from allium.cli import main as cli
from allium.devnet import anvil
from allium.settings.config import ConfigError, NodeConfig
from allium.staking.addresses import Addresses
from allium.staking.connection import connected
from allium.staking.provider import ProviderError, RateLimitError
from allium.wallet.sender import Sender
from tests.support.misbehaving import (
    KEY,
    Behaviour,
    body,
    by_method,
    dripping,
    endless,
    error,
    hanging,
    raw,
    result,
    serving,
)

CHAIN = 31337
SOMEWHERE = "0x" + "11" * 20
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
_PAGE = b"<!DOCTYPE html><html><title>502</title></html>"


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """The addresses of contracts that nobody is going to find."""
    addresses = [anvil.account(index).address for index in range(4)]
    Addresses(CHAIN, 1, *addresses).save(tmp_path / "ADDRESSES.json")
    return tmp_path / "ADDRESSES.json"


def calling(behaviour: Behaviour) -> Behaviour:
    """Of the right chain, and then this."""
    return by_method(behaviour, eth_chainId=result(hex(CHAIN)))


def revert(data: str) -> Behaviour:
    return calling(error({"code": 3, "message": "execution reverted", "data": data}))


#: Of EIP-3668: a contract that wants a page of somebody else's fetched.
LOOKUP = (
    "0x556f1830"
    + encode(
        ["address", "string[]", "bytes", "bytes4", "bytes"], [SOMEWHERE, ["http://127.0.0.1:1/"], b"", b"1234", b""]
    ).hex()
)

WAYS: dict[str, tuple[Behaviour, str]] = {
    "a page": (body(_PAGE), "web page"),
    "a page of a gateway": (body(_PAGE, 502), "HTTP status 502"),
    "nothing": (body(b""), "with nothing"),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.9\r\n"), "cannot be reached"),
    "no answer": (raw(b""), "cannot be reached"),
    "half an answer": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), "cannot be reached"),
    "half of JSON": (body(b'{"jsonrpc": "2.0", "id": 0, "resu'), "something else"),
    "a list": (body(b"[]"), "something else"),
    "a text": (body(b'"yes"'), "something else"),
    "null": (body(b"null"), "something else"),
    "depth": (body(b"[" * 100_000), "something else"),
    "no result": (body(b'{"jsonrpc": "2.0", "id": 0}'), "something else"),
    "another version": (body(b'{"id": 0, "result": "0x1"}'), "no usable answer"),
    "an error that is a text": (error("no"), "no usable answer"),
    "an error without a number": (error({"message": "no"}), "no usable answer"),
    "an error that is a tree": (error({"code": [], "message": {}}), "no usable answer"),
    "an error with the key": (
        error({"code": -32000, "message": f"no {KEY} http://x/{KEY} at /v3/{KEY}"}),
        "refuses: no",
    ),
    "a page with the key": (body(f"Cannot POST /v3/{KEY}?apikey=query-{KEY}".encode(), 404), "HTTP status 404"),
    "control characters": (error({"code": -32000, "message": "\x1b[2J\x1b]0;owned\x07 no\r\n\r\nno"}), "refuses: "),
    "a long error": (error({"code": -32000, "message": "no " * 100_000}), "refuses: no"),
    "no chain": (result(None), "no usable answer"),
    "a chain of letters": (result("0xzz"), "no usable answer"),
    "a chain that is a list": (result([1]), "no usable answer"),
    "another chain": (result("0x1"), "is of chain 1"),
    "a chain beyond all": (result("0x" + "f" * 4000), "the provider"),
    "no key": (body(b"", 401), "the key in its URL"),
    "forbidden": (body(_PAGE, 403), "the key in its URL"),
    "broken": (body(b"oops", 500), "HTTP status 500"),
    "too fast": (body(b"slow down", 429), "limits how much it is asked"),
    "too fast by number": (error({"code": -32005, "message": "limit exceeded"}), "limits how much it is asked"),
    "too fast by words": (
        error({"code": -32000, "message": "over your rate limit"}, 400),
        "limits how much it is asked",
    ),
    "endless": (endless(HEAD, b" " * 65536), "more than 16 MiB"),
    "endless head": (endless(b"HTTP/1.1 200 OK\r\n", b"X-More: of it\r\n" * 1000), "cannot be reached"),
    "elsewhere": (body(b"", 302, f"Location: http://127.0.0.1:1/{KEY}"), "HTTP status 302"),
    "elsewhere for good": (body(b"", 308, "Location: /elsewhere"), "HTTP status 308"),
    "no contract": (calling(result("0x")), "no such contract"),
    "another contract": (calling(result("0x" + "ff" * 33)), "no such contract"),
    "no hexadecimal": (calling(result("yes")), "no usable answer"),
    "a result that is a tree": (calling(result({"a": [1]})), "no usable answer"),
    "a page fetched for it": (revert(LOOKUP), "unknown error 0x556f1830"),
    "a reason that is no text": (revert("0x08c379a0" + encode(["bytes"], [b"\xff\xfe"]).hex()), "Error"),
    "a reason that is cut off": (revert("0x08c379a0"), "Error"),
    "a panic nobody knows": (revert("0x4e487b71" + "ee" * 32), "the provider failed"),
    "a refusal that is no data": (revert("yes"), "reverted"),
    "a refusal that is a tree": (calling(error({"code": 3, "message": "no", "data": {"a": 1}})), "reverted"),
    "an odd refusal": (revert("Reverted 0x"), "reverted"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_provider_that_misbehaves_is_a_sentence(
    way: str, contracts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behaviour, words = WAYS[way]
    with serving(behaviour) as server:
        asked = ("stake", "show", SOMEWHERE, "--rpc", server.url, "--contracts", str(contracts))
        assert cli.main([*asked]) == 1
        said = capsys.readouterr()
    assert words in said.err and said.err.startswith("error: ") and said.out == "", said
    assert KEY not in said.err and "Traceback" not in said.err and len(said.err) < 600
    assert said.err.count("\n") == 1 and said.err.strip().isprintable(), said.err


def test_what_takes_too_long_ends_and_nobody_is_followed(contracts: Path) -> None:
    """Real processes, all at once."""
    with serving(result(hex(CHAIN))) as elsewhere:
        ways = {
            "hangs": (hanging, "does not answer within 10 s"),
            "drips": (dripping(HEAD), "does not answer within 10 s"),
            "leads on": (body(b"", 307, f"Location: {elsewhere.url}"), "HTTP status 307"),
        }
        with serving(ways["hangs"][0]) as one, serving(ways["drips"][0]) as two, serving(ways["leads on"][0]) as three:
            began = time.monotonic()
            commands = {
                ("rewards", "show", SOMEWHERE): one,
                ("stake", "show", SOMEWHERE): two,
                ("node", "exit", "7"): three,
            }
            key = {"ALLIUM_WALLET_KEY": anvil.account(0).key.hex()}
            running = [
                subprocess.Popen(
                    [sys.executable, "-m", "allium", *command, "--rpc", server.url, "--contracts", str(contracts)],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env={**os.environ, **key},
                )
                for command, server in commands.items()
            ]
            said = [process.communicate(timeout=90) for process in running]
            assert time.monotonic() - began < 60
        for (out, err), (_, words), process in zip(said, ways.values(), running, strict=True):
            assert process.returncode == 1 and words in err and err.count("\n") == 1, (out, err)
            assert KEY not in out + err
        assert elsewhere.calls == []


@pytest.mark.parametrize(
    "url",
    [f"wss://rpc.example/v3/{KEY}", f"rpc.example/v3/{KEY}", f"http://[::{KEY}", f"http:///{KEY}", f"http://x:{KEY}/"],
)
def test_a_url_that_cannot_be_used_is_not_shown(
    url: str, contracts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["stake", "show", SOMEWHERE, "--rpc", url, "--contracts", str(contracts)]) == 1
    said = capsys.readouterr().err
    assert "http://HOST" in said and KEY not in said
    file = tmp_path / "config.toml"
    file.write_text(f'data_dir = "."\nnetwork_file = "n.json"\nchain_file = "c.json"\nl2_rpc = [{json.dumps(url)}]\n')
    with pytest.raises(ConfigError, match="l2_rpc") as refusal:
        NodeConfig.load(file)
    assert KEY not in str(refusal.value)


def test_of_a_url_the_place_is_shown() -> None:
    text = (
        f'no way to "https://user:p{KEY}@rpc.example:8545/v3/{KEY}?k={KEY}", nor wss://x/{KEY}; see http://docs.example'
    )
    assert urls.redacted(text) == 'no way to "https://rpc.example:8545/…", nor wss://x/…; see http://docs.example'
    assert urls.redacted(f"https://user:pa/{KEY}@rpc.example/") == "https://…"


# --- transactions

_HEAD = {"number": "0x1", "baseFeePerGas": "0x7", "timestamp": "0x1"}
_FINE = {
    "eth_estimateGas": result("0x5208"),
    "eth_chainId": result(hex(CHAIN)),
    "eth_maxPriorityFeePerGas": result("0x1"),
    "eth_getBlockByNumber": result(_HEAD),
    "eth_getTransactionCount": result("0x0"),
    "eth_sendRawTransaction": result("0x" + "ab" * 32),
}
_BEFORE: dict[str, dict[str, Behaviour]] = {
    "gas beyond all": {"eth_estimateGas": result("0x" + "f" * 60)},
    "no gas": {"eth_estimateGas": result("-0x1")},
    "a tip beyond all": {"eth_maxPriorityFeePerGas": result("0x" + "f" * 60)},
    "no base fee": {"eth_getBlockByNumber": result({"number": "0x1"})},
    "no block": {"eth_getBlockByNumber": result(None)},
    "a count of letters": {"eth_getTransactionCount": result("many")},
}
_AFTER: dict[str, dict[str, Behaviour]] = {
    "refused": {"eth_sendRawTransaction": error({"code": -32000, "message": "insufficient funds"})},
    "no receipt": {"eth_getTransactionReceipt": body(_PAGE)},
    "a receipt of nothing": {"eth_getTransactionReceipt": result({})},
    "another's receipt": {"eth_getTransactionReceipt": result({"transactionHash": "0x" + "cd" * 32, "status": "0x1"})},
}


async def _send(server_url: str) -> Any:
    async with connected(server_url) as provider:
        gift = {"to": anvil.account(1).address, "value": 1}
        return await Sender(provider, anvil.account(0)).send("gift", gift)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", _BEFORE)
async def test_nothing_is_sent_on_the_word_of_such_a_provider(way: str) -> None:
    with serving(by_method(result(None), **{**_FINE, **_BEFORE[way]})) as server:
        with pytest.raises(ProviderError, match=f"gift: the provider failed: {server.place}"):
            await _send(server.url)
        assert "eth_sendRawTransaction" not in server.calls


@pytest.mark.parametrize("way", _AFTER)
async def test_what_may_have_been_sent_is_named(way: str) -> None:
    words = r"transaction 0x[0-9a-f]{64} was sent; look it up before you try again"
    with (
        serving(by_method(result(None), **{**_FINE, **_AFTER[way]})) as server,
        pytest.raises(ProviderError, match=words),
    ):
        await _send(server.url)


async def test_a_limit_is_waited_for_before_it_is_told_of() -> None:
    with serving(error({"code": 429, "message": "Too Many Requests"})) as server:
        async with connected(server.url) as provider:
            with pytest.raises(RateLimitError):
                await provider.ask(lambda w3: w3.eth.chain_id)
        assert len(server.calls) == 3
