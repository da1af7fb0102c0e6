"""The messenger that a person opens: a service on their own machine with an API, and the page that it serves.

It adds nothing to the protocol: everything that it does is done by a `Session` of `allium.client`.
"""
