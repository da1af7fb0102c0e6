"""What is wrong with the machine of a push server and with what it stands on. Looks, and changes nothing that stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

from allium.errors import Complaint
from allium.membership import static
from allium.operate.result import Result, failed, ok, warning
from allium.push import senders
from allium.push.settings import PushConfig
from allium.server import doctor


def examine(config_file: Path) -> list[Result]:
    """Every check that can be made of the server with this `push.toml`."""
    return doctor.examine(config_file, PushConfig.load, "allium push init", _own)


def _own(config: PushConfig) -> list[Result]:
    return [asyncio.run(_services(config)), _network(config)]


async def _services(config: PushConfig) -> Result:
    try:
        made = senders.make(config)
    except Complaint as error:
        return failed("services", str(error), "see what the text names")
    await asyncio.gather(*(sender.close() for sender in made.senders.values()))
    if not made.senders:
        remedy = "set webpush_contact, firebase_account or apns_key"
        return warning("services", "there is no service to deliver to", remedy)
    return ok("services", f"keys for {', '.join(made.senders)}")


def _network(config: PushConfig) -> Result:
    if config.network_file is None:
        return ok("network", f"the list of nodes comes from {config.oxend_rpc}")
    try:
        nodes = static.read(config.network_file)["nodes"]
    except Complaint as error:
        return failed("network", str(error), "set network_file")
    return ok("network", f"{len(nodes)} nodes in {config.network_file}")
