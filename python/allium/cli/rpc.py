"""`allium rpc`: any request to one node, over any transport."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.base.console import err, out
from allium.cli.account import FILE, File, read
from allium.cli.places import url_checked
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.client import direct

app = typer.Typer()

#: How a node refuses a time that is not its own, now and after 2.8.
_WRONG_TIME = (406, 425)


@app.command()
def rpc(
    method: Annotated[str, typer.Argument(help="Such as info, retrieve or get_swarm.")],
    params: Annotated[str, typer.Argument(metavar="[JSON]", help="Its params.")] = "{}",
    seed: Annotated[str, typer.Option(envvar="ALLIUM_SEED", callback=url_checked, help="URL of a seed node.")] = "",
    node: Annotated[
        str, typer.Option(help="Start of the node's Ed25519 key; without it, one of the account's swarm, or any.")
    ] = "",
    transport: Annotated[str, typer.Option(help="https, onion, omq or quic.")] = "https",
    bencode: Annotated[bool, typer.Option("--bencode", help="Params and answer in bencode (omq and quic).")] = False,
    sign: Annotated[bool, typer.Option("--sign", help="Sign with the account of --account.")] = False,
    file: File = FILE,
    timeout: Annotated[float, typer.Option(help="Seconds.")] = 30.0,
) -> None:
    """Ask one node anything, over any transport, and show the answer as it is."""
    import asyncio

    from allium.client import direct, requests

    if not seed:
        raise CommandError("name a seed with --seed URL, or in ALLIUM_SEED")
    if transport not in ("https", "onion", "omq", "quic"):
        raise CommandError(f"there is no transport {transport!r}; use https, onion, omq or quic")
    try:
        fields = json.loads(params)
        if not isinstance(fields, dict):
            raise ValueError("an object is needed")
        if sign:
            fields = requests.signed(read(file), method, fields, time.time_ns() // 1_000_000)
    except KeyError as error:
        raise CommandError(f"{method} needs the parameter {error}") from None
    except ValueError as error:
        raise CommandError(f"the params cannot be used: {error}") from None

    async def run() -> direct.Answer:
        chosen, path = await _choose_node(seed, node, fields.get("pubkey"), timeout)
        return await direct.call(
            chosen,
            method,
            fields,
            transport=transport,  # type: ignore[arg-type]
            encoding="bencode" if bencode else "json",
            path=path if transport == "onion" else (),
            timeout=timeout,
        )

    try:
        answer = asyncio.run(run())
    except ValueError as error:
        raise CommandError(str(error)) from None
    err.print(
        f"status {answer.status}, {answer.seconds * 1000:.0f} ms", style="green" if answer.status == 200 else "red"
    )
    if sign and answer.status in _WRONG_TIME:
        err.print(
            "the node refused the time of the signature: this machine's clock or the node's is wrong; `timedatectl`"
        )
    decoded = answer.decoded()
    if isinstance(decoded, str):
        out.print(decoded, markup=False)
    else:
        from rich.pretty import Pretty

        out.print(Pretty(decoded, expand_all=True))
    raise typer.Exit(0 if answer.status == 200 else 1)


async def _choose_node(
    seed: str, start: str, account_id: Any, timeout: float
) -> tuple[direct.Node, tuple[direct.Node, ...]]:
    """The node whose key starts with `start`, or a member of the account's swarm, or any; and a path that avoids it."""
    from allium.client import NetworkError, direct
    from allium.client.errors import SeedsError
    from allium.client.listing import decoded, usable
    from allium.client.pool import seed_endpoint
    from allium.client.transport import Transport

    call = {"method": "get_n_service_nodes", "params": {"active_only": True}}
    try:
        async with Transport() as http:
            answer = await http.post(
                seed_endpoint(seed), json.dumps(call).encode(), min(timeout, 10), "application/json"
            )
        if answer.status != 200:
            raise NetworkError(f"{seed} answers with HTTP status {answer.status}")
        nodes = usable(decoded(answer.body)["result"]["service_node_states"], direct.Node.parse)
    except NetworkError as error:
        raise SeedsError(f"no list of nodes was given; name a seed that does: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise SeedsError(f"{seed} gave no list of nodes; name a seed that does") from None
    random.shuffle(nodes)
    if start:
        found = [node for node in nodes if node.ed25519.hex().startswith(start.lower())]
        if len(found) != 1:
            raise NetworkError(f"{len(found)} nodes have a key that starts with {start}")
        chosen = found[0]
    elif not nodes:
        raise SeedsError(f"{seed} knows no node; name another")
    elif isinstance(account_id, str):
        told = (await direct.call(nodes[0], "get_swarm", {"pubkey": account_id}, timeout=timeout)).decoded()
        members = told.get("snodes") if isinstance(told, dict) else None
        keys = [member.get("pubkey_ed25519") for member in members or () if isinstance(member, dict)]
        chosen = next((node for node in nodes if node.ed25519.hex() in keys), nodes[0])
    else:
        chosen = nodes[0]
    return chosen, tuple(node for node in nodes if node != chosen)[:3]
