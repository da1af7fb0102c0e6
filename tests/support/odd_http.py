"""Requests as no browser sends them, byte by byte, and what a server makes of each over a real socket."""

from __future__ import annotations

import re
import socket

#: Longer than any of it may take; nothing is measured by it.
_PATIENCE = 60.0
_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3}) ")
HEAD = b"Host: {host}\r\nConnection: close\r\n"
#: Requests that are sent without waiting for an answer.
MANY = 50
_GET = b"GET {path} HTTP/1.1\r\n" + HEAD + b"\r\n"


def chunked(path: bytes, more: bytes = b"") -> bytes:
    """The head of a question whose body comes in chunks."""
    return b"POST " + path + b" HTTP/1.1\r\n" + HEAD + more + b"Transfer-Encoding: chunked\r\n\r\n"


#: Targets that are no paths of a page, or lead out of it where somebody decodes them once too often.
TARGETS = (
    "http://{host}/",
    "http://{host}/index.html",
    "http://evil.example/",
    "https://{host}:99999999/",
    "http://[::1/",
    "//",
    "//etc/passwd",
    "//evil.example/..",
    "/./",
    "/../secret",
    "/assets/../../secret",
    "/%2e%2e/secret",
    "/%2E%2E%2Fsecret",
    "/..%2fsecret",
    "/..%5csecret",
    "/..\\secret",
    "/%252e%252e%252fsecret",
    "/.%00./secret",
    "/%00",
    "/index.html%00.js",
    "/assets%2fa.js",
    "/%c0%ae%c0%ae/secret",
    "/%ff%fe",
    "/%",
    "/%zz",
    "/%u002e",
    "/?%00=%ff&&=&a[]=%",
    "/#/../secret",
    "/" + "a/" * 3000,
    "/" + "%41" * 2000,
    "*",
    "secret",
    "",
)

#: Whole requests, by what is odd of them.
REQUESTS: dict[str, bytes] = {
    "64 kB of one header": b"GET / HTTP/1.1\r\n" + HEAD + b"X-Long: " + b"a" * 65536 + b"\r\n\r\n",
    "1,000 headers": b"GET / HTTP/1.1\r\n" + HEAD + b"".join(b"X-%d: a\r\n" % i for i in range(1000)) + b"\r\n",
    "64 kB of headers": (
        b"GET / HTTP/1.1\r\n" + HEAD + b"".join(b"X-%d: %b\r\n" % (i, b"b" * 50) for i in range(1000)) + b"\r\n"
    ),
    "a method in lower case": b"get / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a method of nobody": b"FROBNICATE / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a long method": b"G" * 5000 + b" / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "TRACE": b"TRACE / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n" + HEAD + b"\r\n",
    "HTTP/1.0 without a host": b"GET / HTTP/1.0\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "many at once": MANY * (b"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    "many at once, and garbage": MANY * (b"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n") + b"\x00\xff garbage\r\n\r\n",
    "many at once, the last of which is never whole": (
        b"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n" * 3 + b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: x\r\n\r\n"
    ),
    "HTTP/2 without a question": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\n" + HEAD + b"\r\n",
    "no version": b"GET / \r\n" + HEAD + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: evil.example\r\n" + HEAD + b"\r\n",
    "ends of lines of Unix": b"GET / HTTP/1.1\nHost: {host}\nConnection: close\n\n",
    "a folded header": b"GET / HTTP/1.1\r\n" + HEAD + b"X-Folded: a\r\n b\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n" + HEAD + b": a\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\n" + HEAD + b"nothing\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\n" + HEAD + b"X-Odd : a\r\n\r\n",
    "bytes in a header": b"GET / HTTP/1.1\r\n" + HEAD + b"X-Odd: \xff\xfe\x01\r\n\r\n",
    "a zero in a header": b"GET / HTTP/1.1\r\n" + HEAD + b"X-Odd: a\x00b\r\n\r\n",
    "bytes in a target": b"GET /\xff\xfe HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a tab in a target": b"GET /\ta HTTP/1.1\r\n" + HEAD + b"\r\n",
    "TLS": bytes.fromhex("16030100c2010000be0303") + bytes(190) + b"\r\n\r\n",
    "nothing but ends of lines": b"\r\n\r\n\r\n" + b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "two equal lengths": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two lengths": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}",
    "a length and chunks": (
        b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    "two kinds of transfer": (
        b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    ),
    "chunks that are none": chunked(b"/") + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk without an end": b"POST / HTTP/1.1\r\n"
    + HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"f" * 20
    + b"\r\n",
    "a negative length": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n",
    "a length with a plus": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: +2\r\n\r\n{}",
    "a length of letters": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: two\r\n\r\n{}",
    "more than it says": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}garbage\x00\xff\r\n\r\n",
    "a body for GET": b"GET / HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}",
    "a promise": b"POST / HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "a promise of nothing": b"GET / HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\n\r\n",
    "a promise of nobody": b"POST / HTTP/1.1\r\n" + HEAD + b"Expect: the-moon\r\nContent-Length: 2\r\n\r\n{}",
    "an upgrade": b"GET / HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    "an odd range": b"GET / HTTP/1.1\r\n" + HEAD + b"Range: bytes=9-1,-,18446744073709551616-\r\n\r\n",
    "odd dates": b"GET / HTTP/1.1\r\n" + HEAD + b'If-Modified-Since: never\r\nIf-None-Match: "\r\n\r\n',
    "odd encodings": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "odd cookies": b"GET / HTTP/1.1\r\n" + HEAD + b'Cookie: =;;a="\\;=b; \xff=\x7f\r\n\r\n',
}


def asked(host: str, request: bytes, answers: int = 1) -> tuple[list[int], bytes]:
    """The statuses of so many answers, fewer where the server hangs up, and all that came.

    Raises `TimeoutError` where it neither answers nor hangs up.
    """
    name, _, port = host.rpartition(":")
    with socket.create_connection((name, int(port)), _PATIENCE) as wire:
        came = b""
        try:
            wire.sendall(request.replace(b"{host}", host.encode()))
            while len(_final(came)) < answers or b"\r\n\r\n" not in came:
                piece = wire.recv(1 << 16)
                if not piece:
                    break
                came += piece
        except (ConnectionError, BrokenPipeError):
            pass  # it hangs up while more is on its way
    return _final(came), came


def target(path: str) -> bytes:
    """A question for a target as it is."""
    return _GET.replace(b"{path}", path.encode("utf-8", "surrogateescape"))


def _final(came: bytes) -> list[int]:
    return [int(status) for status in _STATUS.findall(came) if not status.startswith(b"1")]


def pester(host: str, *secrets: bytes) -> None:
    """Sends all of it; every answer has to be none of a failure, and have nothing of `secrets`."""
    for request in (*map(target, TARGETS), *REQUESTS.values()):
        statuses, came = asked(host, request)
        shown = request[:100], statuses, came[:300]
        assert all(200 <= status < 500 for status in statuses), shown
        assert not any(secret in came for secret in (*secrets, b"root:", b"Traceback")), shown
    # It goes on.
    assert asked(host, target("/"))[0] == [200]
