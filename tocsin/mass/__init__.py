"""Revoking many single tokens from a file: read and checked whole, sorted, sent in batches, resumable."""
