"""A server that does not answer is told of in words: by whom, why, and without the name of an error's class."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from allium.base import unreached
from allium.devnet import ports
from tests.support.command import NOBODY, allium, root_only


@pytest.fixture
async def babbler() -> AsyncIterator[int]:
    """The port of a server that says what is no HTTP, and hangs up."""

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x15\x03\x03\x00\x02\x022 what is this\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def aiohttp_says(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ClientError, OSError)) as failure:
            await session.get(url)
    return unreached.words(failure.value)


async def test_each_reason_has_words_of_its_own(babbler: int) -> None:
    with ports.reserve(1) as [nobody]:
        closed = f"http://127.0.0.1:{nobody}/SECRET"
    assert await aiohttp_says(closed) == "nothing listens there"
    inner = ConnectionRefusedError(111, "of another library's")
    error = RuntimeError("a connection pool's")
    error.__cause__ = inner
    assert unreached.words(error) == "nothing listens there"
    assert "does not speak HTTP" in await aiohttp_says(f"http://127.0.0.1:{babbler}/SECRET")
    assert "does not speak TLS" in await aiohttp_says(f"https://127.0.0.1:{babbler}/SECRET")
    assert unreached.words(TimeoutError()) == "it does not answer in time"
    assert "certificate" in unreached.words(ssl.SSLCertVerificationError(1, "self-signed"))
    assert unreached.words(ValueError("https://user:SECRET@host")) == "it hung up, or what it says cannot be read"


def test_a_provider_that_is_not_there_is_told_of_without_its_key(tmp_path: Path) -> None:
    place = "0x" + 40 * "2"
    (tmp_path / "addresses.json").write_text(
        f'''{{"chain_id": 1, "block": 0, "token": "{place}", "pool": "{place}", "rewards": "{place}",
        "factory": "{place}"}}'''
    )
    with ports.reserve(1) as [nobody]:
        url = f"http://user:SECRET@127.0.0.1:{nobody}/SECRET?key=SECRET"
    done = allium("rewards", "show", place, "--rpc", url, "--contracts", str(tmp_path / "addresses.json"))
    assert done.returncode == 1 and "nothing listens there; try again, or use another provider" in done.stderr
    assert "SECRET" not in done.stdout + done.stderr and "Error" not in done.stderr


@root_only
def test_whose_a_directory_is_every_command_says(tmp_path: Path) -> None:
    """Also to an option that only names it; and nobody is told to take more than that directory."""
    theirs = tmp_path / "node"
    theirs.mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    for command in (["store", "stats"], ["doctor"]):
        done = allium(*command, "--data-dir", str(theirs), uid=NOBODY, cwd="/")
        said = done.stdout + done.stderr
        assert done.returncode not in (0, 2) and "belongs to root" in said, done


def test_keys_that_are_not_there_are_not_called_sealed(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("p")
    passphrase.chmod(0o600)
    done = allium("node", "seal", "--data-dir", str(tmp_path), "--passphrase-file", str(passphrase))
    assert done.returncode == 1 and "has no key files" in done.stderr
    done = allium("node", "seal", "--data-dir", str(tmp_path), "--passphrase-file", "/dev/null")
    assert done.returncode == 1 and "/dev/null has no passphrase" in done.stderr
