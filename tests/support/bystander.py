"""An honest client in a process of its own, beside an attack: `bystander.py PORT SEED` asks and stores, all the time.

It says what requests take while all is quiet; when its input ends, what they took since, and what was acknowledged.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time

from tests.support import wire

#: Seconds between two requests.
PAUSE = 0.004
#: Requests until it has seen what is usual.
QUIET = 50
#: One request of so many is a store.
STORES = 8


def main() -> None:
    port, user = int(sys.argv[1]), wire.User(bytes.fromhex(sys.argv[2]))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=wire.UNVERIFIED)
    stored: list[str] = []

    def ask(number: int) -> float:
        """Seconds that a request took."""
        method, params = "info", {}
        if number % STORES == 0:
            method, params = "store", wire.store_params(user.account_id, b"%d" % number)
        began = time.monotonic()
        connection.request("POST", "/storage_rpc/v1", wire.rpc_body(method, params))
        answer = connection.getresponse()
        body = answer.read()
        took = time.monotonic() - began
        assert answer.status == 200, (answer.status, body)
        if method == "store":
            stored.append(json.loads(body)["hash"])
        time.sleep(PAUSE)
        return took

    print(json.dumps([ask(number) for number in range(QUIET)]), flush=True)
    ended = threading.Event()

    def await_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=await_end, daemon=True).start()
    times: list[float] = []
    number = QUIET
    while not (ended.is_set() and times):
        times.append(ask(number))
        number += 1
    print(json.dumps({"times": times, "stored": stored}))


if __name__ == "__main__":
    main()
