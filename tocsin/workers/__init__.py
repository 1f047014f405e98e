"""Several processes that listen on one port, and the one that looks after them."""
