"""What whoever runs a node asks of it: metrics, whether all is well, and what is wrong with the machine."""
