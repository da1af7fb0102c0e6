"""What the servers beside the nodes have in common: HTTP with limits on strangers, onion requests, the process.

A server of its own kind (`files`, `push`) has what it answers, what it keeps and what it counts beside that.
"""
