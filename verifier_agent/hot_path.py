"""The way that nearly every call takes: a token seen before, by a verifier that has just proved able to judge.

It accepts what ``Verifier.verify`` would accept, and rejects nothing: whatever is not plainly good goes there.
"""

from typing import Final, Protocol

from msgspec import UNSET

from verifier_agent.claims import Claims
from verifier_agent.clocks import Clock
from verifier_agent.policy import Audience, VerificationPolicy
from verifier_agent.verifier import Verifier

MAX_SCOPES: Final = 256
"""Texts of required scopes whose words are remembered; a service has a few."""


class Verify(Protocol):
    """``Agent.verify``."""

    def __call__(
        self,
        token: str,
        /,
        *,
        audience: Audience = UNSET,
        scope: str | None = None,
        caller: str | None = None,
        max_staleness: float | None = None,
    ) -> Claims:
        """See ``Agent.verify``."""


class _Window:
    """A stretch of the wall clock in which what is known will not become too old.

    Renewed by every call that looks at all clocks. A wall clock that is set back leaves it, and another policy ends it:
    no token was judged by that yet, so each comes to where that is seen.
    """

    __slots__ = ("begins", "ends", "policy")

    def __init__(self, begins: float, ends: float, policy: VerificationPolicy) -> None:
        self.begins = begins
        self.ends = ends
        self.policy = policy


def hot_path(verifier: Verifier, clock: Clock) -> Verify:
    """``verifier.verify`` at the time of ``clock``, as fast as Python goes (docs/performance.md).

    Everything that a call needs is a local of this function or one attribute away, and the arguments are not
    keyword-only, though callers pass them so: Python fills in defaults of the others several times as slowly.
    """
    verified, find_revocation, time = verifier.verified, verifier.state.revocations.find, clock.now
    required: dict[str, frozenset[str]] = {}
    window = _Window(0.0, 0.0, verifier.policy)

    def verify(
        token: str,
        audience: Audience = UNSET,
        scope: str | None = None,
        caller: str | None = None,
        max_staleness: float | None = None,
    ) -> Claims:
        if max_staleness is not None:
            return verifier.verify(
                token,
                now=time(),
                boot=clock.boot(),
                audience=audience,
                scope=scope,
                caller=caller,
                max_staleness=max_staleness,
            )
        try:
            known = verified.current.get(token)
            now, able = time(), window
            if (
                known is not None
                and able.begins <= now < able.ends
                and known.starts <= now < known.ends
                and audience in known.audiences
                and (scope is None or required[scope] <= known.claims.scope)
            ):
                return known.claims
        except (KeyError, TypeError):  # a scope that nobody has asked for yet, or a token that is not even text
            return verify_step_by_step(token, time(), audience, scope, caller)
        return (judge_again if known is None else verify_step_by_step)(token, now, audience, scope, caller)

    def judge_again(token: str, now: float, audience: Audience, scope: str | None, caller: str | None) -> Claims:
        """A token that was good before anything changed needs no signature, if only what changed spares it."""
        judged = verified.current  # before anything is judged; see VerifiedTokens
        known, able = verified.aside.get(token), window
        if (
            known is not None
            and able.begins <= now < able.ends
            and known.starts <= now < known.ends
            and audience in known.audiences
            and scope is None
            and find_revocation(token, known) is None
        ):
            verified.add(token, known, judged)
            return known.claims
        return verify_step_by_step(token, now, audience, scope, caller)

    def verify_step_by_step(
        token: str, now: float, audience: Audience, scope: str | None, caller: str | None
    ) -> Claims:
        nonlocal window
        boot, able, policy = clock.boot(), window, verifier.policy
        if not able.begins <= now < able.ends or able.policy is not policy:
            window = _Window(now, now + verifier.check_able(now, boot), policy)
        claims = verifier.judge(token, now, boot, audience, scope, caller)
        if scope is not None and len(required) < MAX_SCOPES:
            required[scope] = frozenset(scope.split())
        return claims

    return verify
