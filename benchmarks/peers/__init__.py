"""Verification beside every peer there is, in one run and on the same tokens: Python's, and those of Node and Go."""
