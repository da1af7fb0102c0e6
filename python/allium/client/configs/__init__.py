"""Shared configs: the state that an account's devices, or a group's members, have in common (`spec/configs`)."""
