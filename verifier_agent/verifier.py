"""The verifier: signed events go in, verdicts on tokens come out. No I/O, no clock, no waiting."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from msgspec import UNSET

from events import (
    EventOpener,
    EventRefused,
    Heartbeat,
    IssuerTrust,
    RefusalCode,
    Snapshot,
    Stream,
    UnverifiedEvent,
    VerifiedEvent,
)
from events.event_keys import EventKeys
from verifier_agent.claims import Claims, ClaimsDecoder
from verifier_agent.errors import (
    RejectionCode,
    TokenRejected,
    UnavailableCode,
    VerificationUnavailable,
)
from verifier_agent.foreign_issuers import ForeignIssuers, foreign_key
from verifier_agent.freshness import heard_at
from verifier_agent.issuer_state import IssuerState, Outcome
from verifier_agent.jwks.document import ForeignKey
from verifier_agent.jwks.foreign_keys import ForeignKeys
from verifier_agent.jws import parse_header, parse_token
from verifier_agent.keyring import VerifyingKey, VerifySignature
from verifier_agent.policy import Audience, OnStale, VerificationPolicy
from verifier_agent.saved.protocol import SealedSnapshot
from verifier_agent.saved.seal import open_seal
from verifier_agent.verified_tokens import VerifiedToken, VerifiedTokens

TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
"""RFC 9068 section 4; compared without regard to case (RFC 2045)."""

MAX_ABLE: Final = 1.0
MAX_HEADERS: Final = 64


class Verifier:
    """Verifies the access tokens of one issuer by what its event streams have said.

    Tokens of foreign issuers are verified with the keys of these; what the event streams revoke holds for them too.

    Attributes:
        policy: the rules.
        state: what is known.
        refused: how many events were refused, by code.
        misunderstood: type URIs of critical events that this version does not know; it stays stale for them.
        verified: the tokens seen before.
        foreign: the issuers that are trusted beside our own.

    One thread may ``apply`` while others ``verify``.
    """

    def __init__(
        self,
        trust: IssuerTrust,
        policy: VerificationPolicy | None = None,
        foreign: Iterable[ForeignKeys] = (),
        opener: EventOpener | None = None,
    ) -> None:
        """Start knowing nothing but whom to trust.

        Args:
            trust: our own issuer.
            policy: the rules.
            foreign: issuers whose tokens are taken too, with keys that somebody else keeps up to date.
            opener: of events, with the keys of ``trust``; by default one of its own.

        Raises:
            ValueError: no usable event key is pinned, or our own issuer is among the foreign ones.
        """
        self.policy = policy or VerificationPolicy()
        self.state = IssuerState(trust.issuer)
        self.refused: Counter[RefusalCode] = Counter()
        self.misunderstood: set[str] = set()
        self._opener = opener or EventOpener(trust)
        self.state.generation = self._opener.keys.generation
        self.verified = VerifiedTokens(self.policy.cache_size)
        self.foreign = ForeignIssuers(trust.issuer, foreign)
        self._claims = ClaimsDecoder()
        self._headers: dict[bytes, VerifyingKey] = {}

    # -- events in

    def apply(self, stream: Stream, raw: UnverifiedEvent | bytes, *, received: float = 0.0) -> Outcome | RefusalCode:
        """Open one event and let it take effect. What must not take effect is counted, and never raises.

        Args:
            stream: which stream it was read from.
            raw: the event as it was read.
            received: boot-time clock in seconds, for freshness alone.

        Returns:
            What became of it, or why it was refused.
        """
        return self._apply(stream, raw, lambda _: received)

    def apply_saved(
        self, stream: Stream, raw: UnverifiedEvent | bytes, *, now: float, boot: float
    ) -> Outcome | RefusalCode:
        """``apply`` for an event that was heard in an earlier life and kept.

        Args:
            stream: see ``apply``.
            raw: see there.
            now: wall clock, seconds since the epoch: a heartbeat is as old as that says.
            boot: boot-time clock, seconds.
        """
        return self._apply(stream, raw, lambda event: heard_at(event.time, now, boot))

    def _apply(
        self, stream: Stream, raw: UnverifiedEvent | bytes, received: Callable[[VerifiedEvent], float]
    ) -> Outcome | RefusalCode:
        epoch, verifying = self.state.epoch, self.state.keys.verifying() if stream is Stream.KEYS else {}
        try:
            event = self._opener.open(raw, stream)
            self._follow_keys()
            outcome = self.state.apply(event, received(event))
        except EventRefused as refusal:
            self._follow_keys()
            self.refused[refusal.code] += 1
            if refusal.code is RefusalCode.UNKNOWN_CRITICAL:
                self.misunderstood.add(refusal.detail)
            return refusal.code
        if self.state.epoch != epoch:
            self._judge_again(verifying)
        return outcome

    def _follow_keys(self) -> None:
        """Take note of the event keys that have been succeeded, before anything that their successors have signed, and
        of two that would succeed one.
        """
        self.state.key_fork = self._opener.keys.fork
        for succession in self._opener.keys.since(self.state.generation):
            verifying = self.state.keys.verifying()
            if self.state.succeed(succession):
                self._judge_again(verifying)

    @property
    def event_keys(self) -> EventKeys:
        """Which event keys may have signed what."""
        return self._opener.keys

    def settle(self) -> bool:
        """Do about a millisecond of the work that a mass revocation leaves behind; whether there may be more.

        What has been applied counts without it; look-ups become faster by it.
        """
        return self.state.revocations.settle()

    def snapshot(self) -> bytes:
        """All that is known, for ``restore``."""
        return self.state.dump()

    def open_seal(self, snapshot: SealedSnapshot, now: float, max_age: float) -> tuple[int, Snapshot]:
        """The number of a snapshot's seal among the heartbeats, and what it says; see ``seal.open_seal``."""
        return open_seal(self._opener, snapshot, now, max_age)

    def restore_sealed(self, snapshot: SealedSnapshot, *, now: float, boot: float, max_age: float) -> Snapshot:
        """Add what a snapshot from anywhere holds to what is known, its time and heads included.

        Args:
            snapshot: made by the issuer.
            now: wall clock, seconds since the epoch.
            boot: boot-time clock, seconds.
            max_age: seconds that the snapshot may be old.

        Returns:
            What its seal says.

        Raises:
            SnapshotInvalid: see ``open_seal``; or the bytes are no snapshot of this version and issuer.
        """
        seq, seal = self.open_seal(snapshot, now, max_age)
        self._follow_keys()
        self.restore(snapshot.data)
        self.state.recall(seq, Heartbeat(time=seal.time, heads=seal.heads), heard_at(seal.time, now, boot))
        return seal

    def seq_of(self, stream: Stream, raw: UnverifiedEvent | bytes) -> int | None:
        """The number of an event, if it is one; it is neither applied nor counted."""
        try:
            return self._opener.open(raw, stream).seq
        except EventRefused:
            return None

    def restore(self, snapshot: bytes) -> None:
        """Add what a snapshot holds to what is known. The caller vouches for where it comes from.

        Raises:
            SnapshotInvalid: it is no snapshot of this issuer.
        """
        verifying = self.state.keys.verifying()
        self.state.restore(snapshot)
        self._judge_again(verifying)

    def _judge_again(self, verifying: Mapping[str, VerifySignature]) -> None:
        """Have every token judged anew; forget those of keys that no longer verify, or are other keys by now."""
        self._headers = {}
        after = self.state.keys.verifying()
        gone = {verify for kid, verify in verifying.items() if after.get(kid) is not verify}
        if gone:
            self.verified.purge(lambda known: known.key.verify in gone)
        else:
            self.verified.turn()

    def reconfigure(self, policy: VerificationPolicy) -> None:
        """Judge by other rules from now on; what was found out about tokens by the old ones is forgotten."""
        self.policy = policy
        self.verified.resize(policy.cache_size)
        self.verified.purge(lambda _: True)

    def forget_foreign(self, boot: float) -> None:
        """Forget the tokens of foreign keys that count no more; to be called when any has ceased to.

        Args:
            boot: boot-time clock, seconds.
        """
        self.verified.purge(lambda known: not self.foreign.counts(known, boot))

    # -- verdicts out

    def verify(
        self,
        token: str,
        *,
        now: float,
        boot: float,
        audience: Audience = UNSET,
        scope: str | None = None,
        caller: str | None = None,
        max_staleness: float | None = None,
    ) -> Claims:
        """The claims of a good token.

        Args:
            token: a compact JWS.
            now: wall clock, seconds since the epoch.
            boot: boot-time clock, seconds.
            audience: what ``aud`` must contain; the policy's by default, ``None`` to skip the check.
            scope: scopes that the token must have, separated by spaces; ``None`` for none.
            caller: who sent the token, best its address; matters for unknown keys of foreign issuers alone, see
                ``ForeignKeys.find``.
            max_staleness: seconds that what is known may be old, for this call alone and whatever ``on_stale`` says:
                fewer for what is worth more, more for what does little harm; ``math.inf`` for however old.

        Raises:
            TokenRejected: the token is no good; ``code`` says why.
            VerificationUnavailable: no keys are known yet, or what is known is too old.
            ValueError: neither the call nor the policy names an audience.
        """
        self.check_able(now, boot, max_staleness)
        return self.judge(token, now, boot, audience, scope, caller)

    def judge(
        self, token: str, now: float, boot: float, audience: Audience, scope: str | None, caller: str | None
    ) -> Claims:
        """``verify`` for a caller who has just made sure that we are able to judge, see there."""
        verified, known, aside = self.verified, None, None
        judged = verified.current  # before anything is judged; see VerifiedTokens
        if isinstance(token, str):
            known, aside = judged.get(token), verified.aside.get(token)
        if known is None:
            known = aside or self._verify_signature(token, boot, caller)  # 1 to 5
            self._check_claims(known, now, audience)  # 6
            self._check_revoked(token, known)  # 7
            verified.add(token, known, judged)
        else:
            self._check_claims(known, now, audience)  # 6
        if scope is not None and not known.claims.scope.issuperset(scope.split()):  # 8, RFC 6750 section 3.1
            raise TokenRejected(RejectionCode.INSUFFICIENT_SCOPE, f"it lacks a scope out of {scope!r}")
        return known.claims

    def freshness(self, now: float, boot: float) -> float | None:
        """Seconds since everything was known, see ``Freshness.age``."""
        return self.state.freshness.age(now, boot)

    def check_able(self, now: float, boot: float, max_staleness: float | None = None) -> float:
        """Make sure that enough is known, and newly enough.

        Args:
            now: wall clock, seconds since the epoch.
            boot: boot-time clock, seconds.
            max_staleness: in place of what the policy says, see ``verify``.

        Returns:
            Seconds from ``now`` for which this will not change, never more than one: longer would be too long to go
            without a look at the boot-time clock, which nobody sets.

        Raises:
            VerificationUnavailable: no keys are known yet, or what is known is too old.
        """
        if self.foreign.keys and self.foreign.has_moved(boot):
            self.forget_foreign(boot)
        if not self.state.keys.seq:
            raise VerificationUnavailable(UnavailableCode.NO_KEYS, "no key set has been heard yet")
        if max_staleness == math.inf or (max_staleness is None and self.policy.on_stale is OnStale.ALLOW):
            return MAX_ABLE
        age = self.state.freshness.age(now, boot)
        limit = self.policy.max_staleness if max_staleness is None else max_staleness
        if age is None or not age <= limit:  # so that what is not a number allows nothing
            known = "was never complete" if age is None else f"is {round(age, 1):g} s old"
            raise VerificationUnavailable(
                UnavailableCode.STALE, f"what is known {known}; at most {limit:g} s is allowed"
            )
        return min(MAX_ABLE, limit - age)

    def _verify_signature(self, token: str, boot: float, caller: str | None) -> VerifiedToken:
        """Steps 1 to 5 of RFC 9068 section 4 and RFC 7519 section 7.2, in this order.

        1 size and shape · 2 algorithm, from the key · 3 type · 4 key, in a state that verifies · 5 signature.
        The key comes before what is compared with it. A header that stood before a good signature has passed 2 to 4,
        and passes until something changes: there is one for each key.
        """
        headers = self._headers  # before anything is judged: an event that comes meanwhile puts another in its place
        unverified = parse_token(token)  # 1
        foreign = self.foreign.of(unverified.payload) if self.foreign.keys else None
        seen = headers.get(unverified.header) if foreign is None else None
        key: VerifyingKey | ForeignKey
        if foreign is not None:
            key = foreign_key(foreign, unverified.header, boot, caller)  # 2 to 4
        else:
            key = seen or self._own_key(unverified.header)  # 2 to 4
        try:
            digest = key.verify(unverified.signature, unverified.signing_input)  # 5
        except (InvalidSignature, ValueError) as error:
            raise TokenRejected(RejectionCode.BAD_SIGNATURE, "not signed by the key it names") from error
        if seen is None and isinstance(key, VerifyingKey) and len(headers) < MAX_HEADERS:
            headers[unverified.header] = key
        claims, skew = self._claims.decode(unverified.payload), self.policy.skew
        if foreign is not None and claims.iss != foreign.issuer.issuer:  # it was read before, by another decoder
            raise TokenRejected(RejectionCode.WRONG_ISSUER, "another issuer than the one whose key signed it")
        starts = claims.iat or 0.0
        if claims.nbf is not None and claims.nbf > starts:
            starts = claims.nbf
        default = (foreign and foreign.issuer.audience) or self.policy.audience
        audiences = (UNSET, *claims.aud, None) if default in claims.aud else (*claims.aud, None)
        return VerifiedToken(claims, key, digest, audiences, starts - skew, claims.exp + skew)

    def _own_key(self, header_part: bytes) -> VerifyingKey:
        """The key of our own issuer that a token names; steps 2 to 4."""
        header = parse_header(header_part)  # 1
        key = self._key(header.kid)  # 4
        if header.alg != key.published.alg:  # 2
            raise TokenRejected(RejectionCode.WRONG_ALGORITHM, f"its key signs with {key.published.alg} only")
        if header.typ.lower() not in TOKEN_TYPES:  # 3
            raise TokenRejected(RejectionCode.WRONG_TYPE, "its typ is not at+jwt")
        return key

    def _key(self, kid: str) -> VerifyingKey:
        if self.state.keys.is_revoked(kid):
            raise TokenRejected(RejectionCode.KEY_REVOKED, f"key {kid[:64]!r} has been revoked")
        key = self.state.keys.get(kid)
        if key is None:
            raise TokenRejected(RejectionCode.UNKNOWN_KEY, f"no key {kid[:64]!r} is known")
        if not key.published.state.verifies:
            raise TokenRejected(RejectionCode.KEY_NOT_IN_USE, f"key {kid[:64]!r} is {key.published.state}")
        return key

    def _check_claims(self, known: VerifiedToken, now: float, audience: Audience) -> None:
        """Step 6: issuer, audience, and the times with skew."""
        if known.claims.iss != self.state.issuer and not isinstance(known.key, ForeignKey):
            raise TokenRejected(RejectionCode.WRONG_ISSUER, "another issuer than the one that is trusted")
        if audience not in known.audiences:
            if audience is UNSET:
                audience = self._default_audience(known.claims.iss)
            raise TokenRejected(RejectionCode.WRONG_AUDIENCE, f"it is not for {audience!r}")
        if now >= known.ends:
            raise TokenRejected(RejectionCode.EXPIRED, "its exp has passed")
        if now < known.starts:
            raise TokenRejected(RejectionCode.NOT_YET_VALID, "its nbf or iat lies ahead")

    def _default_audience(self, iss: str) -> str:
        keys = self.foreign.keys.get(iss)
        audience = (keys.issuer.audience if keys else None) or self.policy.audience
        if audience is None:
            raise ValueError("name the audience that tokens must have: audience=…, or None to skip the check")
        return audience

    def _check_revoked(self, token: str, known: VerifiedToken) -> None:
        """Step 7: by digest or selector; by key, in step 4."""
        by = self.state.revocations.find(token, known)
        if by is not None:
            self.verified.discard(token)
            raise TokenRejected(RejectionCode.REVOKED, by)
