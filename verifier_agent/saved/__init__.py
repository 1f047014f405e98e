"""What an agent keeps outside its memory, so that the next one starts from there."""

from verifier_agent.saved.protocol import SavedEvent, SavedState, SealedSnapshot, StateStore

__all__ = ["SavedEvent", "SavedState", "SealedSnapshot", "StateStore"]
