"""Mutation of the verification path: whatever step is dropped or turned round, some test fails."""
