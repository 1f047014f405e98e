"""The fault matrix: everything in a whole installation broken in turn, and what that does.

``make faults`` runs it.
"""
