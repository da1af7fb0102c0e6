"""Session Protocol v2 without its network: account keys, messages, device groups, linking (`spec/protocol-v2`).

`allium.client.session` uses it. What is read here comes from strangers, or from devices of the account that may be of
any version: all of it is bounded by the bytes it came in, and whatever is wrong with it is a `ProtocolError`.
"""
