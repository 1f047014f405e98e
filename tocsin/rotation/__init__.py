"""What a rotation costs who verifies: planned, under load; and in an emergency, until the last agent has heard."""

from tocsin.rotation.measurement import Extent, RotationResult, measure_rotation

__all__ = ["Extent", "RotationResult", "measure_rotation"]
