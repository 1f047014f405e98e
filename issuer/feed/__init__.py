"""The event feed: what the outbox holds, given to whoever listens over HTTP, as it is decided."""
