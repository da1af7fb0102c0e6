"""Thousands of nodes in one process: the real state machine, draws, rules and swarms, over a modelled network.

What is modelled and what is not: `docs/simulator.md`.
"""
