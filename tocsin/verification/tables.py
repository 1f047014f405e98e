"""The figures as tables for people: headings, where ``>`` aligns to the right, and rows."""

from collections.abc import Sequence

from tocsin.verification.load import LoadResult
from tocsin.verification.measurement import VerificationResult

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


def verification_table(result: VerificationResult) -> Table:
    """One row a figure."""
    headings = ["ALG", "WHAT", ">A SECOND", ">µs", ">AGAINST PyJWT"]
    rows = [
        (
            rate.alg,
            " ".join([rate.what, result.peers.get(rate.name, "")]).strip(),
            f"{rate.per_second:,.0f}",
            f"{rate.microseconds:.2f}",
            f"{rate.against_pyjwt:.2f}x",
        )
        for rate in result.rates
    ]
    return headings, rows


def load_table(load: LoadResult) -> Table:
    """First time and again, without and with the revocations."""
    return (
        ["RS256, µs", ">NOTHING REVOKED", f">{load.digests:,} DIGESTS, {load.cutoffs:,} CUTOFFS", ">MORE"],
        [
            _load_row("first time, cache off", load.cold, load.cold_loaded),
            _load_row("again, after one more revocation", load.moved, load.moved_loaded),
        ],
    )


def _load_row(what: str, without: float, with_them: float) -> tuple[str, ...]:
    return what, f"{without:.2f}", f"{with_them:.2f}", f"{with_them - without:+.2f}"
