"""Many machines agree by CometBFT: a committee of the network's nodes orders the inputs, and everybody computes them.

CometBFT is a process beside the node, which asks this application over a socket what to propose, what to vote for and
what comes of it (ABCI 2.0). `engine` is the whole; docs/consensus.md says how it is run.
"""
