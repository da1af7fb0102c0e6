"""The demo's step with the file server, on a real network; the whole demo is `make demo`."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from allium.cli import demo_picture
from allium.cli.demo_screen import DemoScreen
from allium.client import NetworkError
from allium.devnet.layout import FileServerRecord, Layout, NetworkRecord
from tests.support.devnet import Devnet


def record(net: Devnet) -> tuple[NetworkRecord, FileServerRecord]:
    network = Layout(net.directory).read_network()
    assert network.files is not None
    return network, network.files


def test_the_picture_is_one() -> None:
    picture = Image.open(io.BytesIO(demo_picture.rings()), formats=["PNG"])
    picture.load()
    assert (picture.size, picture.mode) == ((96, 96), "RGB")
    assert [picture.getpixel((48 + far, 48)) for far in (0, 11, 12, 24, 36, 47)] == [
        tuple(demo_picture._COLOURS[ring]) for ring in (0, 0, 1, 2, 3, 3)
    ]


async def test_a_picture_goes_through_the_file_server(files_devnet: Devnet, tmp_path: Path) -> None:
    told = io.StringIO()
    view = DemoScreen(Console(file=told, width=120))
    await demo_picture.play(tmp_path, *record(files_devnet), view)
    [step] = view.steps
    assert step.failure is None
    assert (tmp_path / demo_picture.NAME).read_bytes() == demo_picture.rings()
    assert [line for line in told.getvalue().splitlines() if "byte for byte" in line]


async def test_without_the_server_the_step_fails_in_words(files_devnet: Devnet, tmp_path: Path) -> None:
    network, files = record(files_devnet)
    view = DemoScreen(Console(file=io.StringIO()))
    # Where the seed listens there is a server, but none of files.
    with pytest.raises(NetworkError) as raised:
        await demo_picture.play(tmp_path, network, replace(files, url=network.seed_url.rstrip("/")), view)
    [step] = view.steps
    assert step.failure == str(raised.value)
    assert not (tmp_path / demo_picture.NAME).exists()
