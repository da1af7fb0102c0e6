"""OMQ as a stranger speaks it: whole messages, one after the other, on a socket of libzmq."""

from __future__ import annotations

import os
from typing import Any

import zmq
from nacl import bindings
from zmq.utils import z85


def dealer(
    context: zmq.Context[Any], entry: dict[str, Any], routing_id: bytes | None = None, *, source: str = ""
) -> zmq.Socket[bytes]:
    """A connection to the node, of a key of its own, and from an address of its own if need be."""
    socket_: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    socket_.linger, secret = 0, os.urandom(32)
    if routing_id is not None:
        socket_.routing_id = routing_id
    socket_.curve_serverkey = z85.encode(bytes.fromhex(entry["pubkey_x25519"]))
    socket_.curve_secretkey = z85.encode(secret)
    socket_.curve_publickey = z85.encode(bindings.crypto_scalarmult_base(secret))
    way = f"{source}:0;" if source else ""
    socket_.connect(f"tcp://{way}127.0.0.1:{entry['omq_port']}")
    return socket_


def answer(socket_: zmq.Socket[bytes], *frames: bytes) -> list[bytes]:
    """What comes after these frames have been sent."""
    socket_.send_multipart(list(frames))
    assert socket_.poll(20_000), "no answer"
    return socket_.recv_multipart()
