"""Link previews: what is found behind a link, and all that must not be reached by one."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from allium.client import addresses
from allium.client.addresses import Address
from allium.client.previews import fetch, links, pages
from allium.client.previews.fetch import PreviewError, PreviewFetcher
from allium.client.previews.links import LinkError
from tests.support.web_site import LOOPBACK, WebSite, web_site

PAGE = (
    '<html><head><title>Title</title><meta property="og:title" content="Graph &amp; title"></head><body></body></html>'
)


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[WebSite]:
    async with web_site(tmp_path, "site.example", "other.example") as made:
        yield made


@pytest.fixture
def fetcher(site: WebSite) -> PreviewFetcher:
    return PreviewFetcher(site.resolve, lambda address: address == LOOPBACK, site.trust)


def png(side: int = 900) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side // 2), 90).save(out, "PNG")
    return out.getvalue()


async def test_title_and_picture_of_a_page(site: WebSite, fetcher: PreviewFetcher) -> None:
    site.page("/a", PAGE.replace("</head>", '<meta property=og:image content="/i.png"></head>'))
    site.page("/i.png", png(), "image/png")
    found = await fetcher.preview("https://site.example/a#part")
    assert (found.url, found.title) == ("https://site.example/a#part", "Graph & title")
    assert found.image is not None and (found.image.width, found.image.height) == (400, 200)
    assert site.asked == ["site.example/a", "site.example/i.png"]


async def test_redirections_are_followed_on_https_alone(site: WebSite, fetcher: PreviewFetcher) -> None:
    site.redirect("/1", "https://other.example/2")
    site.redirect("/2", "/3?x=1")
    site.page("/3", PAGE)
    assert (await fetcher.preview("https://site.example/1")).title == "Graph & title"
    assert site.asked[-1] == "other.example/3?x=1"
    for target in (
        "http://site.example/3",
        "https://127.0.0.1/3",
        "https://[::1]/3",
        "https://user@site.example/3",
        "https://localhost/3",
        "https://2130706433/3",
        "https://0x7f.1/3",
        "file:///etc/passwd",
        "/1",
        "",
    ):
        site.redirect("/1", target)
        site.asked.clear()
        with pytest.raises(PreviewError):
            await fetcher.preview("https://site.example/1")
        assert site.asked == ["site.example/1"], target
    for number in range(fetch.MAX_REDIRECTS + 1):
        site.redirect(f"/r{number}", f"/r{number + 1}")
    with pytest.raises(PreviewError, match="on and on"):
        await fetcher.preview("https://site.example/r0")


async def test_names_at_private_addresses_are_not_asked(site: WebSite) -> None:
    site.page("/a", PAGE)
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "0.0.0.0", "::ffff:127.0.0.1"):

        async def resolve(host: str, port: int, address: str = address) -> list[tuple[Address, int]]:
            # One good address beside it does not help.
            return [(ipaddress.ip_address("1.1.1.1"), site.port), (ipaddress.ip_address(address), site.port)]

        with pytest.raises(PreviewError, match="public address"):
            await PreviewFetcher(resolve, trust=site.trust).preview("https://site.example/a")
    assert site.asked == []


async def test_a_name_that_changes_its_mind_gains_nothing(site: WebSite) -> None:
    """DNS rebinding: good at the first question, this machine at the next."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[tuple[Address, int]]:
        asked.append(host)
        return [(LOOPBACK if len(asked) == 1 else ipaddress.ip_address("127.0.0.2"), site.port)]

    site.redirect("/a", "https://other.example/b")
    site.page("/b", PAGE)
    with pytest.raises(PreviewError, match="public address"):
        await PreviewFetcher(resolve, lambda address: address == LOOPBACK, site.trust).preview("https://site.example/a")
    assert asked == ["site.example", "other.example"] and site.asked == ["site.example/a"]


async def test_endless_pages_and_pictures(
    site: WebSite, fetcher: PreviewFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/html"})
        await answer.prepare(request)
        await answer.write(PAGE.partition("</head>")[0].encode())
        with_image = b'<meta property="og:image" content="/endless">'
        await answer.write(with_image)
        with contextlib.suppress(ConnectionError):
            while request.transport is not None and not request.transport.is_closing():
                await answer.write(b" " * 65_536)
                await asyncio.sleep(0)  # reader and writer are of one thread
        return answer

    site.pages["/endless"] = endless
    found = await fetcher.preview("https://site.example/endless")
    assert (found.title, found.image) == ("Graph & title", None)

    silent = asyncio.Event()

    async def never(request: web.Request) -> web.StreamResponse:
        await silent.wait()
        return web.Response()

    site.pages["/never"] = never
    monkeypatch.setattr(fetch, "TIMEOUT", 0.2)
    with pytest.raises(PreviewError, match="too long"):
        await fetcher.preview("https://site.example/never")
    silent.set()


async def test_what_is_no_page(site: WebSite, fetcher: PreviewFetcher) -> None:
    site.page("/untitled", "<p>nothing")
    site.page("/binary", b"\0\1", "application/octet-stream")
    site.page("/image", png(), "image/png")
    for path in ("untitled", "binary", "image", "missing"):
        with pytest.raises(PreviewError):
            await fetcher.preview(f"https://site.example/{path}")
    # A certificate that is another's, and a host that takes no connection.
    with pytest.raises(PreviewError):
        await fetcher.preview("https://third.example/untitled")


@pytest.mark.parametrize(
    "url",
    [
        "http://site.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://printer.local/",
        "https://a:b@site.example/",
        "https://site/",
        "https://1.2.3/",
        "https://0x7f000001/",
        "https://site.example:0/",
        "https://-x.example/",
        "https://x..example/",
        "https://site.example/" + "a" * 3_000,
        "https://\u2488.example.com\n/",
        "javascript:alert(1)",
        "",
    ],
)
def test_urls_that_are_not_fetched(url: str) -> None:
    with pytest.raises(LinkError):
        links.checked(url)


def test_urls_as_they_are_fetched() -> None:
    assert links.checked("https://Site.Example:443/ä b?q=ö#x") == "https://site.example/%C3%A4%20b?q=%C3%B6"
    assert links.checked("https://bücher.example") == "https://xn--bcher-kva.example/"


def test_links_of_a_text() -> None:
    text = "see https://site.example/a_(b)). and (https://other.example), http://no.example https://127.0.0.1/x"
    assert list(links.links_in(text)) == ["https://site.example/a_(b)", "https://other.example"]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("64:ff9b:1::808:808", False),
        ("2002:7f00:1::", False),
        ("2002:808:808::", False),
        ("2001:0:808:808::1", False),
        ("2606:4700::5efe:10.0.0.1", False),
        ("::127.0.0.1", False),
        ("fec0::1", False),
        ("3fff::1", False),
        ("192.0.0.8", False),
        ("192.88.99.1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert addresses.is_public(ipaddress.ip_address(address)) is public


def test_what_pages_say_of_themselves() -> None:
    url = "https://site.example/dir/page"
    read = pages.read(
        b"<TITLE>A\n  &lt;b&gt; \xe2\x80\xaeevil</TITLE><link rel='shortcut icon' href=i.ico>", "text/html", url
    )
    assert read == pages.Page("A <b> evil", ("https://site.example/dir/i.ico",))
    latin = "<meta charset=iso-8859-1><title>Bücher</title>".encode("latin-1")
    assert pages.read(latin, "text/html", url).title == "Bücher"
    assert pages.read("<title>Bücher</title>".encode("cp1251", "ignore"), "text/html; charset=cp1251", url).title
    for hidden in ("<!-- <title>x</title> -->", "<script>'<title>x</title>'</script>", "<svg><title>x</title></svg>"):
        assert pages.read(f"{hidden}<title>y</title>".encode(), "", url).title == "y"
    images = "".join(
        f'<meta property="og:image" content="{target}">'
        for target in ("http://x.example/", "https://10.0.0.1/", "//cdn.example/a")
    )
    assert pages.read(images.encode(), "", url).images == ("https://cdn.example/a",)
    for codec in ("base64_codec", "zlib_codec", "idna", "punycode", "undefined", "x\0"):
        assert pages.read(b"<title>t</title>", f"text/html; charset={codec}", url).title == "t"
    assert len(pages.read(b"<title>" + b"x" * 10_000 + b"</title>", "", url).title) <= pages.MAX_TITLE + 1


BUSY = ["<", "<!--", "<meta a=", "<title>", "<script>", "&#", "<meta a='", "<a>", "<meta>", "<link rel=icon"]


@pytest.mark.parametrize("piece", BUSY)
def test_pages_that_are_made_to_keep_us_busy(piece: str) -> None:
    pages.read((piece * 200_000).encode(), "", "https://site.example/")


WORDS = ["<", ">", "meta", " ", "'", '"', "title", "=", "/", "og:title", "!--"]


@given(st.text(max_size=300) | st.lists(st.sampled_from(WORDS), max_size=60).map("".join), st.text(max_size=40))
def test_nothing_breaks_the_reader_of_pages(text: str, content_type: str) -> None:
    page = pages.read(text.encode("utf-8", "surrogatepass"), content_type, "https://site.example/")
    assert len(page.title) <= pages.MAX_TITLE + 1 and len(page.images) <= 10
    for link in links.links_in(text):
        links.checked(link)
