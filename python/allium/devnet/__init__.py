"""A whole network of real node processes on one machine."""
