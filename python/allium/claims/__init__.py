"""Signatures of the whole network, collected from its nodes: rewards, exits, liquidations (BLS, `spec/appchain` §7)."""
