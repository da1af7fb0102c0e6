"""What several files of this directory need; property tests take what time the machine gives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.devnet import Devnet, up
from tests.support.pigeon import Device, Sky

settings.register_profile("client", deadline=None)
settings.load_profile("client")


@pytest.fixture(scope="session")
def files_devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Nodes for two paths and a swarm, and a file server, for tests that bring back what they take away."""
    with up(tmp_path_factory.mktemp("files"), "--nodes", "8", "--files") as made:
        yield made


@pytest.fixture
def sky() -> Sky:
    return Sky()


@pytest.fixture
def alice(sky: Sky, tmp_path: Path) -> Iterator[Device]:
    device = Device(sky, tmp_path / "alice", name="Alice")
    yield device
    device.core.close()


@pytest.fixture
def bob(sky: Sky, tmp_path: Path) -> Iterator[Device]:
    device = Device(sky, tmp_path / "bob", name="Bob")
    yield device
    device.core.close()
