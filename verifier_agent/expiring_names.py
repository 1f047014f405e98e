"""Names that are known for a while, and no more of them than there is room for: what everybody can make up."""


class ExpiringNames:
    """A bounded set of names, each with its end; when it is full the oldest goes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ends: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, name: str, end: float) -> None:
        """Hold ``name`` until ``end``."""
        self._ends.pop(name, None)
        while len(self._ends) >= self._size:
            del self._ends[next(iter(self._ends))]
        self._ends[name] = end

    def holds(self, name: str, now: float) -> bool:
        """Whether ``name`` is held; one that has come to its end is let go."""
        end = self._ends.get(name)
        if end is not None and now >= end:
            del self._ends[name]
            end = None
        return end is not None

    def drop(self, name: str) -> None:
        """Let go of ``name``, if it is held."""
        self._ends.pop(name, None)

    def clear(self) -> None:
        """Let go of all."""
        self._ends.clear()
