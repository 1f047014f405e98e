"""What is looked up at nearly every request and hardly ever changes: held here, and let go of when it does change."""

from issuer.lookups.changes import Changes, Kind, note_change
from issuer.lookups.lookups import Lookups
from issuer.lookups.remembered import Remembered

__all__ = ["Changes", "Kind", "Lookups", "Remembered", "note_change"]
