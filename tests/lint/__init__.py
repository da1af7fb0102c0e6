"""What `make lint` looks at beyond what its tools do."""
