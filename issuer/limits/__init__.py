"""Limits: how often somebody may ask."""
