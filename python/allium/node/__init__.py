"""One node process: what it is made of, and the order in which its parts begin and end."""
