"""Allium: a Session Network node, the orchestrator around it, and a client to try it with."""
