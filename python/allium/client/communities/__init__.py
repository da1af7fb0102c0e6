"""Communities: rooms on servers of their own, which anybody may run (`spec/groups` §9).

`signing`, `calls`, `answers` and `polling` do no I/O; `server` asks one server by any route, `poller` keeps at it.
"""
