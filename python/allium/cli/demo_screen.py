"""The main job, to watch: a message through three hops of real nodes into a swarm and back out."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from allium.base.urls import redacted
from allium.cli import demo_messenger, demo_picture
from allium.cli.progress import words
from allium.client import Account, Client, NetworkError, Poll, RefusedError, SendResult, Snode
from allium.client.database import DatabaseError
from allium.client.files.legacy import FileError
from allium.client.files.urls import FileUrlError
from allium.devnet import anvil
from allium.devnet.layout import DevnetError, NetworkRecord
from allium.devnet.network import DEFAULT_SWARM_SIZE, Devnet
from allium.devnet.options import ChainOptions
from allium.devnet.progress import Event

FIRST_TEXT = "Three layers, and nobody knows both ends."
SECOND_TEXT = "One of your nodes is down, and this still arrives."
_COLUMNS = 5
_SWARM_COLOURS = ("cyan", "magenta", "yellow", "blue", "green")
_HOPS = ("guard", "middle", "last")


class StepFailed(Exception):
    """What a step promised did not hold."""


#: What ends the demo with a cross at its step; anything else is a fault of the demo.
FAILURES = (
    *(StepFailed, NetworkError, RefusedError, DevnetError, DatabaseError, FileError, FileUrlError),
    demo_messenger.MessengerFailed,
)


@dataclass
class Step:
    """One line of the story, and what came of it."""

    title: str
    details: list[str] = field(default_factory=list)
    seconds: float | None = None
    failure: str | None = None

    def check(self, held: bool, promise: str) -> None:
        """Raises `StepFailed` with the promise that was broken."""
        if not held:
            raise StepFailed(promise)
        self.details.append(f"[green]✓[/] {promise}")


class DemoScreen:
    """The network as a grid above the steps. Where the output is no terminal, each step is printed when it ends."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps: list[Step] = []
        self._network: NetworkRecord | None = None
        self._roles: dict[bytes, str] = {}
        self._dead: set[bytes] = set()
        self._live = Live(get_renderable=self.render, console=console, refresh_per_second=8)

    def __enter__(self) -> DemoScreen:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Shows a step while the block runs and what became of it afterwards."""
        step = Step(title)
        self.steps.append(step)
        began = time.monotonic()
        try:
            yield step
        except FAILURES as error:
            step.failure = str(error)
            raise
        finally:
            step.seconds = time.monotonic() - began
            if not self.console.is_terminal:
                self.console.print(self._line(step))

    def network(self, network: NetworkRecord) -> None:
        """The nodes to show."""
        self._network = network

    def path(self, path: Sequence[Snode], destination: Snode) -> None:
        """Marks where a request goes along."""
        self._roles = dict(zip((node.ed25519 for node in path), _HOPS, strict=False))
        self._roles[destination.ed25519] = "swarm"

    def kill(self, key: bytes) -> None:
        """Marks a node as dead."""
        self._dead.add(key)

    def name(self, key: bytes) -> str:
        """The number of a node, as the grid shows it."""
        nodes = self._network.nodes if self._network else ()
        return next((f"node {i}" for i, node in enumerate(nodes) if node.pubkey_ed25519 == key.hex()), key.hex()[:8])

    def render(self) -> RenderableType:
        """All of it."""
        parts: list[RenderableType] = []
        if self._network is not None:
            parts.append(Panel(self._grid(self._network), title="allium devnet", border_style="dim", expand=False))
        parts += [self._line(step) for step in self.steps]
        return Group(*parts)

    def _grid(self, network: NetworkRecord) -> Table:
        colours = dict(zip(sorted({node.swarm_id for node in network.nodes}), _SWARM_COLOURS * 99, strict=False))
        grid = Table.grid(padding=(0, 2))
        cells = []
        for index, node in enumerate(network.nodes):
            key = bytes.fromhex(node.pubkey_ed25519)
            role = self._roles.get(key, "")
            style = "red strike" if key in self._dead else colours[node.swarm_id]
            cells.append(Text.assemble((f"● {index:>2} ", style), (f"{role:<6}", "bold reverse" if role else "")))
        for start in range(0, len(cells), _COLUMNS):
            grid.add_row(*cells[start : start + _COLUMNS])
        return grid

    @staticmethod
    def _line(step: Step) -> RenderableType:
        if step.seconds is None:
            return Group(Spinner("dots", text=step.title, style="cyan"), *_indented(step.details))
        mark, style = ("✗", "bold red") if step.failure else ("✓", "bold green")
        head = Text.assemble((f"{mark} ", style), (step.title, "bold"), (f"  {step.seconds:.1f} s", "dim"))
        failure = [f"[red]{step.failure}"] if step.failure else []
        return Group(head, *_indented([*step.details, *failure]))


def _indented(lines: Sequence[str]) -> list[Text]:
    return [Text("    ") + Text.from_markup(line) for line in lines]


def main(nodes: int, once: bool) -> int:
    """Plays the demo on a network of its own; 0 when every step held. Without `once` it then stays up until Ctrl-C."""
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="allium-demo-") as directory:
        devnet = Devnet(Path(directory))
        try:
            with contextlib.ExitStack() as running:
                with DemoScreen(console) as view:
                    network = _bring_up(devnet, nodes, view)
                    people = Path(directory) / "people"
                    people.mkdir()
                    asyncio.run(_play(devnet, network, view, people))
                    messenger = demo_messenger.play(running, people, network, view)
                console.print(f"\nevery step held, in {time.monotonic() - began:.1f} s")
                if not once:
                    _stay(console, directory, messenger)
            return 0
        except FAILURES:
            console.print("\n[red]a step did not hold[/]")
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            if devnet.layout.network.exists():
                devnet.down()


def _stay(console: Console, directory: str, messenger: demo_messenger.DemoMessenger | None) -> None:
    """Says what there is to look at, and waits until that is enough."""
    if messenger is None:
        console.print(demo_messenger.missing())
    else:
        console.print(f"the messenger, as Erin and Frank have it (good once): [bold]{messenger.link()}[/]")
    console.print(f"the network stays up: allium devnet status --dir {directory}   (Ctrl-C ends it)")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


async def _play(devnet: Devnet, network: NetworkRecord, view: DemoScreen, people: Path) -> None:
    with view.step("Alice and Bob make accounts") as step:
        alice_account, bob_account = Account.new(), Account.new()
        step.details += [f"Alice {alice_account.account_id}", f"Bob   {bob_account.account_id}"]
    async with Client(alice_account, [network.seed_url]) as alice, Client(bob_account, [network.seed_url]) as bob:
        first = await _send(view, alice, bob_account, "Alice writes to Bob", FIRST_TEXT)
        await _receive(view, bob, alice_account, "Bob looks into his inbox", FIRST_TEXT, unlike=first.path)
        if network.files is not None:
            await demo_picture.play(people, network, network.files, view)
        dead = _kill_one(view, devnet, network, first)
        async with Client(Account.from_phrase(bob_account.phrase), [network.seed_url]) as restored:
            title = "Bob restores his account on a new device and looks again"
            await _receive(view, restored, alice_account, title, FIRST_TEXT)
        await _send(view, alice, bob_account, "Alice writes while the node is down", SECOND_TEXT, dead)
        await _receive(view, bob, alice_account, "Bob looks once more", SECOND_TEXT)


def _bring_up(devnet: Devnet, nodes: int, view: DemoScreen) -> NetworkRecord:
    chain, missing = _chain()
    with view.step(f"{nodes} nodes start") as step:

        def progress(event: Event) -> None:
            step.details[:] = [words(event)]

        network = devnet.up(nodes, DEFAULT_SWARM_SIZE, progress=progress, chain=chain, with_files=True)
        swarms = len({node.swarm_id for node in network.nodes})
        step.details[:] = [f"{nodes} processes, {swarms} swarms, seed {network.seed_url}, and a file server"]
        if network.chain is not None:
            step.details.append(
                f"every node is staked for on a chain of its own, anvil at {redacted(network.chain.rpc_url)}"
            )
        else:
            step.details.append(f"a file says who is in the network, and no chain: {missing}")
        view.network(network)
    return network


def _chain() -> tuple[ChainOptions | None, str]:
    """The chain to stand on, or why there is none."""
    try:
        for module in ("vyper", "web3"):
            importlib.import_module(module)
        anvil.find()
    except ModuleNotFoundError as error:
        return None, f"{error.name} is not installed"
    except DevnetError as error:
        return None, str(error)
    return ChainOptions(), ""


async def _send(
    view: DemoScreen, sender: Client, recipient: Account, title: str, text: str, dead: bytes | None = None
) -> SendResult:
    with view.step(title) as step:
        step.details.append(f"“{text}”")
        result = await sender.send_text(recipient.account_id, text, display_name="Alice", sync=False)
        view.path(result.path, result.destination)
        step.details.append("path: you" + _hops(view.name, result.path, result.destination))
        for confirmation in result.confirmations:
            outcome = "stored, signature verified" if confirmation.verified else f"[red]{confirmation.failure}"
            step.details.append(f"{view.name(confirmation.node):>7} {outcome}")
        live = [confirmation for confirmation in result.confirmations if confirmation.node != dead]
        step.check(all(c.verified for c in live), f"{len(live)} live members stored it and signed for it")
        if dead is not None:
            [gone] = [confirmation for confirmation in result.confirmations if confirmation.node == dead]
            step.check(gone.failure is not None, f"{view.name(dead)} is reported as failed")
    return result


async def _receive(
    view: DemoScreen, receiver: Client, sender: Account, title: str, text: str, unlike: Sequence[Snode] | None = None
) -> Poll:
    with view.step(title) as step:
        poll = await receiver.poll()
        while unlike is not None and poll.path == unlike:
            poll = await receiver.poll()
        view.path(poll.path, poll.source)
        step.details.append("path: you" + _hops(view.name, poll.path, poll.source))
        for message in poll.messages:
            step.details.append(f"from {message.display_name} ({message.sender[:10]}…): “{message.text}”")
        received = [(message.sender, message.text) for message in poll.messages]
        step.check(received == [(sender.account_id, text)], "the text is there, signed by Alice")
    return poll


def _hops(name: Callable[[bytes], str], path: Sequence[Snode], destination: Snode) -> str:
    return "".join(f" → {name(node.ed25519)}" for node in (*path, destination))


def _kill_one(view: DemoScreen, devnet: Devnet, network: NetworkRecord, sent: SendResult) -> bytes:
    """Ends the member of Bob's swarm that took the message."""
    with view.step("One node of Bob's swarm is killed") as step:
        dead = sent.destination.ed25519
        index = next(i for i, node in enumerate(network.nodes) if node.pubkey_ed25519 == dead.hex())
        devnet.kill(index)
        view.kill(dead)
        step.details.append(f"{view.name(dead)}, the one that took the message from Alice (SIGKILL)")
    return dead
