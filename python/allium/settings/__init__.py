"""What a node is given: what its operator sets, and its key files."""
