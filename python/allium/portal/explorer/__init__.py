"""The public explorer: pages over what the portal knows of the network, made on the server, for any browser."""
