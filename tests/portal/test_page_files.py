"""The page's files where there are none, and paths that are none of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from allium.portal.page_files import PageFiles, Surroundings
from allium.server.messages import Answer, Request


async def test_without_a_built_page_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    files = PageFiles(Surroundings(), 42161, tmp_path)

    async def api(request: Request) -> Answer:
        return Answer(418, {})

    async def none() -> AsyncIterator[bytes]:
        return
        yield b""

    def asked(path: str, method: str = "GET") -> Request:
        return Request(method, path, "", {}, 0, none())

    answer = files.beside(api)
    said = await answer(asked("/"))
    assert said.status == 404 and b"make pages" in said.body and said.body.count(b"\n") == 1
    assert (await answer(asked("/nodes"))).status == 418 and (await answer(asked("/", "POST"))).status == 418
    assert (await answer(asked("/../portal.toml"))).status == 418
