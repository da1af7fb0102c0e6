"""Who works: what nodes prove of themselves and find of each other, until the network has agreed on a verdict.

Nothing here is believed because somebody says it. A verdict counts by the votes in it, and those by the signatures of
the nodes that were drawn (`appchain/certificates`); what is told on the way only has to arrive.
"""

#: In the data directory: what a node knows of the others (`liveness.history`).
HISTORY = "liveness.sqlite"
