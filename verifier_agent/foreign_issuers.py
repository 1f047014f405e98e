"""Which of the trusted foreign issuers a token is of, and by which of its keys it is to be verified. No I/O."""

from collections.abc import Iterable

import msgspec

from verifier_agent.errors import KeyPending, RejectionCode, TokenRejected, UnavailableCode
from verifier_agent.jwks.document import ForeignKey
from verifier_agent.jwks.foreign_keys import ForeignKeys
from verifier_agent.jwks.settings import refuse_own_issuer
from verifier_agent.jwks.unknown_kids import Missing
from verifier_agent.jws import parse_header
from verifier_agent.verified_tokens import VerifiedToken


class _Issuer(msgspec.Struct, frozen=True, gc=False):
    iss: str


_ISSUER = msgspec.json.Decoder(_Issuer)


class ForeignIssuers:
    """The keys of each foreign issuer, by its ``iss``."""

    def __init__(self, own: str, keys: Iterable[ForeignKeys] = ()) -> None:
        """Trust these beside our own.

        Raises:
            SettingInvalid: our own is among them.
        """
        self.keys = {each.issuer.issuer: each for each in keys}
        refuse_own_issuer(own, (each.issuer for each in self.keys.values()))
        self._seen = self._state(float("-inf"))

    def of(self, payload: bytes) -> ForeignKeys | None:
        """The keys for a token that claims to be of a foreign issuer. It does so before anything of it is verified:
        what is settled by it is only whose keys it must be signed with."""
        try:
            return self.keys.get(_ISSUER.decode(payload).iss)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None  # for our own steps to reject

    def has_moved(self, boot: float) -> bool:
        """Whether any key has ceased to count since this was last asked."""
        before, self._seen = self._seen, self._state(boot)
        return before != self._seen

    def counts(self, known: VerifiedToken, boot: float) -> bool:
        """Whether the key of a token counts still; keys of our own issuer are others' concern."""
        if not isinstance(known.key, ForeignKey):
            return True
        keys = self.keys[known.claims.iss]
        return boot < keys.usable_until and keys.keys.get(known.key.kid) is known.key

    def _state(self, boot: float) -> list[tuple[int, bool]]:
        return [(keys.epoch, boot < keys.usable_until) for keys in self.keys.values()]


def foreign_key(keys: ForeignKeys, header_part: bytes, boot: float, caller: str | None) -> ForeignKey:
    """The key that a token names; steps 2 to 4, see ``Verifier``.

    Raises:
        TokenRejected: there is no such key, or it does not fit the header.
        KeyPending: there may be soon; or the issuer's keys are not known, or too old.
    """
    issuer = keys.issuer.issuer
    header = parse_header(header_part, needs_typ=False)  # 1
    key = keys.find(header.kid, boot, caller)  # 4
    if isinstance(key, Missing):
        raise _missing(key, issuer, header.kid)
    if header.alg != key.alg:  # 2
        raise TokenRejected(RejectionCode.WRONG_ALGORITHM, f"its key signs with {key.alg} only")
    if not keys.issuer.accepts_type(header.typ):  # 3
        raise TokenRejected(RejectionCode.WRONG_TYPE, f"its typ is none of those of {issuer!r}")
    return key


def _missing(why: Missing, issuer: str, kid: str) -> Exception:
    if why is Missing.UNKNOWN:
        return TokenRejected(RejectionCode.UNKNOWN_KEY, f"{issuer!r} has no key {kid[:64]!r}")
    code = UnavailableCode.NO_KEYS if why is Missing.UNAVAILABLE else UnavailableCode.KEY_PENDING
    return KeyPending(code, issuer, kid)
