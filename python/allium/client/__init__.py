"""A Session client: accounts, messages, onion paths."""
