"""In which order files of tests are run, and how long what they share stays.

Networks that several files share go on working while nobody tests them: three nodes that agree by CometBFT take a fifth
of a core, a messenger that is in a hurry a tenth. So files that share one follow each other, and it ends with the last.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

_HERE = Path(__file__).parent
#: Files of a minute and more, the longest first: whichever worker began one of them last would keep the others waiting.
LONGEST = (
    "package/test_wheel.py",
    "swarm/test_mixed_changes.py",
    "chain/test_claims.py",
    "chain/test_liveness_devnet.py",
    "chain/test_cometbft.py",
    "chain/test_chain_devnet.py",
    "portal/test_portal.py",
    "portal/test_devnet.py",
    "portal/test_page_stake.py",
    "messenger/test_flows_messages.py",
    "messenger/test_flows_account.py",
    "messenger/test_page_long.py",
    "swarm/test_oxend.py",
    "operate/test_status.py",
    "client/test_session_commands.py",
    "client/test_client.py",
    "operate/test_files.py",
    "client/test_session_trouble.py",
    "push/test_operate.py",
    "swarm/test_crash.py",
    "swarm/test_suspended.py",
    "operate/test_failures.py",
    "swarm/test_mixed_swarm.py",
    "protocol/test_requests.py",
    "swarm/test_chaos.py",
    "operate/test_providers.py",
    "operate/test_doctor.py",
    "chain/test_solo.py",
)
#: What several files share, in the order in which it is made; its users are run by as many workers as there are.
SHARED = ("small_chain", "page_world", "messenger_devnet", "shared_devnet", "files_devnet", "alone", "pair")
_LAST = len(SHARED)
#: Users of a network that takes a minute to make: one worker runs all of them.
TOGETHER = {
    "small_chain": ("dashboard", "doctor", "metrics", "safety", "status"),
}
_BESIDE = {f"tests/operate/test_{name}.py": shared for shared, names in TOGETHER.items() for name in names}


class Together(LoadFileScheduling):  # type: ignore[misc]
    """Gives a worker the tests of a file, or of all files that share what is in `TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return _BESIDE.get(file, file)


class Order:
    """A plugin that sorts what was collected, and ends what no test of the next file needs."""

    def __init__(self) -> None:
        self._needs: dict[Path, set[str]] = defaultdict(set)
        #: What was made for the session, and the request that it was made by.
        self._made: dict[str, tuple[pytest.FixtureDef[Any], Any]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Files that share something follow each other, the longest first; the order is otherwise as collected."""
        assert all((_HERE / name).exists() for name in LONGEST)
        for item in items:
            self._needs[item.path].update(getattr(item, "fixturenames", ()))
        beside = {path for path, needs in self._needs.items() if needs & TOGETHER.keys()}
        assert beside <= {_HERE.parent / name for name in _BESIDE}
        longest = {_HERE / name: place for place, name in enumerate(LONGEST)}

        def place(item: pytest.Item) -> tuple[int, int]:
            shared = next((place for place, name in enumerate(SHARED) if name in self._needs[item.path]), _LAST)
            return shared, longest.get(item.path, len(LONGEST))

        items.sort(key=place)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> Together | None:
        """As `--dist loadfile` has it, but for what is run together."""
        return Together(config, log) if config.getvalue("dist") == "loadfile" else None

    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: Any) -> None:
        """Remembers what the tests' own files make for the session."""
        if fixturedef.scope == "session" and fixturedef.func.__module__.startswith("tests."):
            self._made[fixturedef.argname] = fixturedef, request

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Forgets it."""
        if fixturedef.scope == "session":
            self._made.pop(fixturedef.argname, None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, nextitem: pytest.Item | None) -> Any:
        """Ends what the next test's file does not need; the end of the session ends the rest."""
        ended = yield
        if nextitem is not None:
            for name in [name for name in self._made if name not in self._needs[nextitem.path]]:
                if name in self._made:  # else it ended with another of which it was made
                    fixturedef, request = self._made[name]
                    fixturedef.finish(request)
        return ended
