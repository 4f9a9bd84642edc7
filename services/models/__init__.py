"""Which models there are, how they get onto this machine, and where the services find them."""
