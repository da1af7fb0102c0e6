"""Tells the service manager how the node is doing: the `sd_notify` datagrams of systemd.

Without `NOTIFY_SOCKET` in the environment nobody asked, and every function does nothing.
"""

from __future__ import annotations

import os
import socket
import time


def ready(status: str = "") -> bool:
    """The node serves (or serves again, after `reloading`)."""
    return send("READY=1", _status(status))


def reloading() -> bool:
    """The configuration is being read again; `ready` must follow."""
    return send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def starting(status: str, seconds: float) -> bool:
    """The node is not ready, and may take so much longer before the manager gives it up."""
    return send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}", _status(status))


def alive() -> bool:
    """The node does what it should; a manager with a watchdog restarts one that does not say so."""
    return send("WATCHDOG=1")


def stopping(status: str = "") -> bool:
    """The node finishes what is under way and ends."""
    return send("STOPPING=1", _status(status))


def status(text: str) -> bool:
    """One line for `systemctl status`."""
    return send(_status(text))


def send(*assignments: str) -> bool:
    """Sends non-empty `KEY=value` lines in one datagram; whether somebody was listening.

    A manager that is gone or slow is no reason for a node to stop, so a failure to send is only reported in the result.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    message = "\n".join(line for line in assignments if line)
    if not address or not message:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # the abstract namespace has no file
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        try:
            sender.sendto(message.encode(), address)
        except OSError:
            return False
    return True


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}" if text else ""
