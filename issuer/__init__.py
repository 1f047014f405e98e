"""Who says it: OAuth 2 endpoints, tokens, keys, revocations and the outbox that everything is told from."""
