"""Whether a grant still stands: the rule by which revocations reach what lives longer than any access token.

What lives longer keeps ``gsq``, the revocation ``seq`` known before its user authenticated. At every use the claims
that are about to be signed are held against all selector revocations above ``gsq``, by the verifier's own index. So a
revocation reaches what had not been committed when it was decided, and claims that no row has; and a lift restores by
itself, as nothing was deleted.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from events import Lift, Revoke, Stream, base64url
from events.records import decode_record
from issuer.families.oldest import oldest_gsq
from issuer.store.schema import outbox
from verifier_agent.selector_index import SelectorIndex, SelectorRevocation

_SELECTIVE: Final = (Revoke.type, Lift.type)


class Standing:
    """Selector revocations for as long as any grant lives that they may end; the verifier forgets them sooner."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._index = SelectorIndex(own=True)
        self._lifted: set[int] = set()

    def __len__(self) -> int:
        return len(self._index)

    async def load(self, connection: AsyncConnection) -> None:
        """Learn everything decided since the oldest grant, session or code that is alive was given."""
        oldest = oldest_gsq().scalar_subquery()
        query = (
            select(outbox.c.event)
            .where(outbox.c.stream == Stream.REVOCATIONS, outbox.c.type.in_(_SELECTIVE), outbox.c.seq > oldest)
            .order_by(outbox.c.seq)
        )
        for event in (await connection.execute(query)).scalars():
            self.hear(event)

    def hear(self, event: bytes) -> None:
        """Take note of an event of the stream of revocations that has been committed; a second time changes nothing."""
        claims = msgspec.json.decode(base64url.decode(event.split(b".")[1]))
        if not claims["events"].keys() & set(_SELECTIVE):
            return
        seq, record = claims["tocsin"]["seq"], decode_record(claims["events"])
        if isinstance(record, Lift):
            self._lifted.add(record.target)
            self._index.remove(record.target)
        elif (
            isinstance(record, Revoke)
            and self._is_ours(record)
            and seq not in self._lifted
            and not self._index.get(seq)
        ):
            self._index.add(SelectorRevocation(seq, claims["iat"], record))

    def ended_by(self, claims: Mapping[str, Any], gsq: int, auth_time: float) -> int | None:
        """The revocation that ended a grant, by its ``seq``; ``None`` while it stands.

        Args:
            claims: those about to be signed.
            gsq: see ``Family``, as for the next one.
            auth_time: stands for the time at which tokens were issued.
        """
        hit = self._index.find({**claims, "rsq": gsq}, auth_time)
        return None if hit is None else hit.seq

    def forget(self, up_to: int) -> None:
        """Let go of what no grant with a ``gsq`` from here on can be ended by."""
        for revocation in [each for each in self._index if each.seq <= up_to]:
            self._index.remove(revocation.seq)
        self._lifted = {seq for seq in self._lifted if seq > up_to}

    def _is_ours(self, record: Revoke) -> bool:
        return record.selector.issuer in (None, self._issuer)
