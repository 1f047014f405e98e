"""Mutants that no test can notice, each with the reason. They are named without line numbers."""

from typing import Final

EQUIVALENT: Final[dict[str, str]] = {
    "seal.open_seal: if len(snapshot.data) != seal.size: raise SnapshotInvalid(SnapshotCode.ALTERED, f'{len(snapshot.data)} bytes, where {seal.size} were sealed') -> pass": (
        "the hash of bytes of another length is another hash"
    ),
    "verifier.Verifier.judge: aside or self._verify_signature(token, boot, caller) -> self._verify_signature(token, boot, caller)": (
        "slower: the signature is checked again"
    ),
    "verifier.Verifier.check_able: self.foreign.keys and self.foreign.has_moved(boot) -> self.foreign.has_moved(boot)": (
        "slower: what counts no more is looked for more often"
    ),
    "verifier.Verifier.check_able: self.foreign.keys and self.foreign.has_moved(boot) -> self.foreign.keys": (
        "slower: what counts no more is looked for more often"
    ),
    "verifier.Verifier._verify_signature: foreign is None -> foreign is not None": (
        "slower: what is found for a foreign token is not used"
    ),
    "verifier.Verifier._verify_signature: seen or self._own_key(unverified.header) -> self._own_key(unverified.header)": (
        "slower: the header is judged again"
    ),
    "verifier.Verifier._verify_signature: (InvalidSignature, ValueError) -> (InvalidSignature,)": (
        "no key that is taken raises anything else today; another version of the library may"
    ),
    "verifier.Verifier._verify_signature: seen is None and isinstance(key, VerifyingKey) and (len(headers) < MAX_HEADERS) -> isinstance(key, VerifyingKey) and len(headers) < MAX_HEADERS": (
        "the same is put there again"
    ),
    "hot_path.hot_path.verify: able.begins <= now < able.ends -> able.begins < now < able.ends": (
        "at the very bound the numbered steps decide, and say the same"
    ),
    "hot_path.hot_path.verify: able.begins <= now < able.ends -> able.begins <= now <= able.ends": (
        "at the very bound the numbered steps decide, and say the same"
    ),
    "hot_path.hot_path.verify: known.starts <= now < known.ends -> known.starts < now < known.ends": (
        "at the very bound the numbered steps decide, and say the same"
    ),
    "hot_path.hot_path.judge_again: able.begins <= now < able.ends -> able.begins < now < able.ends": (
        "at the very bound the numbered steps decide, and say the same"
    ),
    "hot_path.hot_path.judge_again: able.begins <= now < able.ends -> able.begins <= now <= able.ends": (
        "at the very bound the numbered steps decide, and say the same"
    ),
    "hot_path.hot_path.judge_again: known.starts <= now < known.ends -> known.starts < now < known.ends": (
        "at the very bound the numbered steps decide, and say the same"
    ),
    "hot_path.hot_path.verify: required[scope] <= known.claims.scope -> required[scope] < known.claims.scope": (
        "slower: who has exactly what is required is judged by the numbered steps"
    ),
    "hot_path.hot_path.verify: scope is None or required[scope] <= known.claims.scope -> required[scope] <= known.claims.scope": (
        "slower: no scope is none of those remembered"
    ),
    "verifier.Verifier._verify_signature: claims.nbf > starts -> claims.nbf >= starts": (
        "at the very bound both are the same"
    ),
    "hot_path.hot_path.judge_again: verified.add(token, known, judged) -> pass": (
        "slower: it is judged again each time"
    ),
    "hot_path.hot_path.judge_again: if known is not None and able.begins <= now < able.ends and (known.starts <= now < known.ends) and (audience in known.audiences) and (scope is None) and (find_revocation(token, known) is None): verified.add(token, known, judged) -> pass": (
        "slower: the numbered steps decide"
    ),
    "hot_path.hot_path.verify_step_by_step: able.begins <= now < able.ends -> able.begins < now < able.ends": (
        "at the very bound it is made sure of once more"
    ),
    "hot_path.hot_path.verify_step_by_step: able.begins <= now < able.ends -> able.begins <= now <= able.ends": (
        "at the very bound it is made sure of once more"
    ),
    "hot_path.hot_path.verify_step_by_step: now + verifier.check_able(now, boot) -> now - verifier.check_able(now, boot)": (
        "slower: the window is never open"
    ),
    "jws.parse_token: not header or not payload or (not signature) -> not payload or not signature": (
        "an empty header is refused as no JSON in the next step"
    ),
    "jws.parse_header: (msgspec.MsgspecError, ValueError, RecursionError) -> (ValueError, RecursionError)": (
        "msgspec's errors are ValueErrors too, in the version that is pinned"
    ),
    "claims.ClaimsDecoder.decode: (msgspec.MsgspecError, KeyError, TypeError, ValueError, OverflowError, RecursionError) -> (KeyError, TypeError, ValueError, OverflowError, RecursionError)": (
        "msgspec's errors are ValueErrors too, in the version that is pinned"
    ),
    "claims.ClaimsDecoder.decode: self._scopes.get(scope) or self._words(_text(scope)) -> self._words(_text(scope))": (
        "slower: the words are taken apart again"
    ),
    "claims.ClaimsDecoder._words: len(self._scopes) >= self.MAX_SCOPES -> len(self._scopes) < self.MAX_SCOPES": (
        "slower: fewer texts are remembered"
    ),
    "claims.ClaimsDecoder._words: self._scopes[text] = words -> pass": ("slower: fewer texts are remembered"),
    "verified_tokens.VerifiedTokens.discard: self.current.pop(token, None) -> pass": (
        "what is found revoked has just been missed there"
    ),
    "keyring._rs256: not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_RSA_BITS -> key.key_size < MIN_RSA_BITS": (
        "a key of another kind is refused with its JWK"
    ),
    "keyring.Keyring.apply: seq > self.seq -> seq >= self.seq": (
        "a second event of the same number never comes so far"
    ),
    "selector_index.: _PROBED_FIRST: Final = ('jti', 'sid', 'sub', 'client_id', 'tenant') -> _PROBED_FIRST: Final = ('jti', 'sub', 'client_id', 'tenant')": (
        "slower: the claim that hits the fewest tokens is not the one probed"
    ),
    "selector_index.: _PROBED_FIRST: Final = ('jti', 'sid', 'sub', 'client_id', 'tenant') -> _PROBED_FIRST: Final = ('sid', 'sub', 'client_id', 'tenant')": (
        "slower: the claim that hits the fewest tokens is not the one probed"
    ),
    "selector_index.: _PROBED_FIRST: Final = ('jti', 'sid', 'sub', 'client_id', 'tenant') -> _PROBED_FIRST: Final = ('jti', 'sid', 'client_id', 'tenant')": (
        "slower: the claim that hits the fewest tokens is not the one probed"
    ),
    "selector_index.: _PROBED_FIRST: Final = ('jti', 'sid', 'sub', 'client_id', 'tenant') -> _PROBED_FIRST: Final = ('jti', 'sid', 'sub', 'tenant')": (
        "slower: the claim that hits the fewest tokens is not the one probed"
    ),
    "selector_index.: _PROBED_LAST: Final = ('aud', 'scope') -> _PROBED_LAST: Final = ('scope',)": (
        "slower: the claim that hits the fewest tokens is not the one probed"
    ),
    "selector_index.: _PROBED_LAST: Final = ('aud', 'scope') -> _PROBED_LAST: Final = ('aud',)": (
        "slower: the claim that hits the fewest tokens is not the one probed"
    ),
    "selector_index.SelectorIndex.find: len(self._probes) > FEW_PROBES -> len(self._probes) >= FEW_PROBES": (
        "slower or faster by nanoseconds, with the same probes"
    ),
    "selector_index.SelectorIndex.find: len(self._probes) > FEW_PROBES -> len(self._probes) <= FEW_PROBES": (
        "slower or faster by nanoseconds, with the same probes"
    ),
    "selector_index.SelectorIndex.remove: self._everything.minus(revocation) or _NOTHING -> self._everything.minus(revocation)": (
        "slower: an empty bucket is looked into"
    ),
    "selector_index.SelectorIndex._probed: if len(claims) == 1: return next(iter(claims)) -> pass": (
        "slower: the one claim is chosen by the long way"
    ),
    "selector_index._Bucket.plus: revocation.seq > self.by_event[0].seq -> revocation.seq >= self.by_event[0].seq": (
        "no two in a bucket have the same number"
    ),
    "selector_index._Bucket.plus: not self.by_event or revocation.seq > self.by_event[0].seq -> not self.by_event": (
        "slower: sorted where it stands in order"
    ),
    "selector_index._Bucket.plus: if not self.by_event or revocation.seq > self.by_event[0].seq: return _Bucket((revocation, *self.by_event), self.by_time) -> pass": (
        "slower: sorted where it stands in order"
    ),
    "selector_index._key: if isinstance(value, bool): return (value,) -> pass": (
        "slower: True and 1 share a bucket, and the selector tells them apart"
    ),
    "digest_index.DigestIndex.holds: self._unsettled and any((search(batch, digest) for batch in self._unsettled)) -> any((search(batch, digest) for batch in self._unsettled))": (
        "slower: the batches are searched without asking the filter first"
    ),
    "digest_index.DigestIndex.holds: self._filter.may_hold(digest) and self._settled.holds(digest) -> self._settled.holds(digest)": (
        "slower: the batches are searched without asking the filter first"
    ),
    "digest_runs.DigestRuns._join: all((run.whole for run in chosen)) -> any((run.whole for run in chosen))": (
        "one that is not whole is chosen alone"
    ),
    "digest_index.DigestIndex.holds_token: few and (digest in few or by_jti in few) -> digest in few or by_jti in few": (
        "slower: an empty dict is searched"
    ),
    "digest_index.DigestIndex.holds_token: few and (digest in few or by_jti in few) -> few": (
        "slower: each is looked for by itself"
    ),
    "digest_index.DigestIndex.holds_token: marks[digest & mask] & one == one and self.holds(digest) -> self.holds(digest)": (
        "slower: the second byte is looked at, too"
    ),
    "digest_index.DigestIndex.holds_token: marks[by_jti & mask] & other == other and self.holds(by_jti) -> self.holds(by_jti)": (
        "slower: the second byte is looked at, too"
    ),
    "digest_index.DigestIndex.add: len(self._unsettled) > MAX_UNSETTLED -> len(self._unsettled) >= MAX_UNSETTLED": (
        "one batch more or less waits"
    ),
    "digest_index.DigestIndex._settle: self._filtered + len(batch) -> self._filtered - len(batch)": (
        "the filter is fuller than it should be, and lets more strangers through to the search"
    ),
    "digest_index.DigestIndex._settle: in_force + len(batch) -> in_force - len(batch)": (
        "the filter is fuller than it should be, and lets more strangers through to the search"
    ),
    "digest_index.DigestIndex._settle: self._filtered + len(batch) > self._filter.capacity -> self._filtered + len(batch) >= self._filter.capacity": (
        "a full filter is replaced one batch sooner"
    ),
    "digest_runs._Run.still_holds: self.whole or any((search(part, digest) for part in tuple(self.parts.values()))) -> any((search(part, digest) for part in tuple(self.parts.values())))": (
        "slower: the batches are searched too, though all are in force"
    ),
    "foreign_issuers.ForeignIssuers._state: boot < keys.usable_until -> boot >= keys.usable_until": (
        "it is compared with itself alone, and changes at the same moments"
    ),
    "foreign_issuers.ForeignIssuers.of: (msgspec.MsgspecError, ValueError, RecursionError) -> (ValueError, RecursionError)": (
        "msgspec's errors are ValueErrors too, in the version that is pinned"
    ),
    "digest_filter.DigestFilter.__init__: BITS_A_DIGEST * capacity - 1 -> BITS_A_DIGEST * capacity + 1": (
        "a filter of one bit more or less"
    ),
    "issuer_state.IssuerState.recall: seq > self._newest_beat -> seq >= self._newest_beat": (
        "the same seal is recalled again"
    ),
    "issuer_state.IssuerState.recall: self._newest_beat = seq -> pass": (
        "an older heartbeat is refused by its time, too"
    ),
    "issuer_state._followed: record.follows_digest and sequence.judge(record.follows, record.follows_digest) is Arrival.FORKED -> sequence.judge(record.follows, record.follows_digest) is Arrival.FORKED": (
        "without a digest nothing is ever judged as forked"
    ),
    "freshness.Freshness.__init__: self.received = 0.0 -> pass": ("nobody reads it before something is covered"),
}
