"""The replicated state machine of the network. Pure functions: nothing here reads a clock, a file or a socket."""
