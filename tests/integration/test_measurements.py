import itertools
import warnings

import pytest
from cryptography.exceptions import InvalidSignature

from benchmarks import goals, growth, report
from benchmarks.benchmark import Table
from benchmarks.profiles import profile_again, profile_first
from tocsin.verification import load_table, measure_load, measure_verification, verification_table
from tocsin.verification.issuer import ALGORITHMS, MeasuredIssuer, digest_batches, hear
from tocsin.verification.load import revoke_digests, revoke_subjects
from tocsin.verification.measurement import WHAT, anew, bare_cache
from tocsin.verification.peers import PEERS, BareSignature, Peer, check
from tocsin.verification.stopwatch import Contender, race
from verifier_agent import RejectionCode, TokenRejected

BRIEF = 0.001
"""Seconds for a figure that nobody looks at."""


@pytest.fixture(params=ALGORITHMS)
def measured(request: pytest.FixtureRequest) -> MeasuredIssuer:
    """An issuer with a few tokens, for each algorithm."""
    return MeasuredIssuer(request.param, tokens=5)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_each_peer_verifies_good_tokens_and_rejects_bad_ones(peer: Peer, measured: MeasuredIssuer) -> None:
    if peer.version is None:
        pytest.skip(f"{peer.name} is not installed")
    verify = peer.verifying(measured.jwk)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns of EdDSA's name
        for token in measured.tokens:
            verify(token)
        check(peer.name, verify, peer.rejection, measured.token(), measured.bad_tokens())


def test_our_verifier_verifies_what_the_peers_do(measured: MeasuredIssuer) -> None:
    agent = measured.agent()
    check("the verifier", agent.verify, TokenRejected, measured.token(), measured.bad_tokens())


@pytest.mark.parametrize("bad", list(MeasuredIssuer("EdDSA", tokens=0).bad_tokens()))
def test_a_verifier_that_accepts_what_is_bad_is_not_measured(bad: str) -> None:
    measured = MeasuredIssuer("EdDSA", tokens=0)
    accepted = measured.bad_tokens()[bad]
    agent = measured.agent()

    def careless(token: str) -> object:
        return None if token == accepted else agent.verify(token)

    with pytest.raises(RuntimeError, match=bad):
        check("careless", careless, TokenRejected, measured.token(), {bad: accepted})


def test_the_bare_signature_is_really_checked(measured: MeasuredIssuer) -> None:
    tampered = measured.bad_tokens()["a payload that was not signed"]
    bare = BareSignature(measured.jwk, [*measured.tokens, tampered])
    verify, good = bare.calls(measured.tokens)
    for parts in good:
        verify(parts)
    verify, bad = bare.calls([tampered])
    with pytest.raises(InvalidSignature):
        verify(bad[0])


def test_every_figure_has_a_row_and_every_peer_is_there_or_named() -> None:
    issuer = MeasuredIssuer("ES256", tokens=5)
    result = measure_verification(BRIEF, [issuer])
    measured = {rate.name for rate in result.rates}
    assert set(WHAT) <= measured
    assert measured - set(WHAT) == set(result.peers)
    assert {*result.peers, *result.absent} == {"PyJWT", "joserfc", "Authlib"}
    assert len(verification_table(result)[1]) == len(result.rates)


def test_the_load_is_really_in_force() -> None:
    load = measure_load(BRIEF, digests=300, cutoffs=20)
    assert (load.digests, load.cutoffs) == (300, 20)
    assert len(load_table(load)[1]) == 2
    issuer = MeasuredIssuer("EdDSA", tokens=1)
    agent = issuer.agent()
    revoke_digests(issuer, 300, agent)
    revoke_subjects(issuer, 20, agent)
    growth.revoke_mixed(issuer, 30, agent)
    assert agent.status().digests == 300
    assert agent.status().selectors == 20 + 1 + 30  # the last of the subjects comes as an event
    with pytest.raises(TokenRejected) as rejected:
        agent.verify(issuer.token(sub="revoked-7"))
    assert rejected.value.code is RejectionCode.REVOKED


def test_an_unrelated_revocation_leaves_the_tokens_good() -> None:
    issuer = MeasuredIssuer("EdDSA", tokens=3)
    agent = issuer.agent()
    for token in issuer.tokens:
        agent.verify(token)
    hear(agent, issuer.unrelated())
    for token in issuer.tokens:
        agent.verify(token)


def test_digests_are_the_same_for_the_same_seed() -> None:
    assert list(digest_batches(60_000)) == list(digest_batches(60_000))
    assert sum(len(batch) for batch in digest_batches(60_000)) == 8 * 60_000


def test_new_texts_are_equal_and_other_objects() -> None:
    texts = ["a.b.c", "d.e.f"]
    copies = anew(texts)
    assert copies == texts
    assert all(copy is not text for copy, text in zip(copies, texts, strict=True))


def test_the_bare_cache_compares_what_every_cache_must() -> None:
    issuer = MeasuredIssuer("EdDSA", tokens=1)
    ended = issuer.token(exp=int(issuer.now) - 2)  # within the skew that our verifier allows
    verify = bare_cache(issuer.agent(), [*issuer.tokens, ended])
    assert verify(issuer.tokens[0]).iss == "https://issuer.example"
    with pytest.raises(KeyError):
        verify(ended)
    with pytest.raises(KeyError):
        verify("never seen")


def test_contenders_take_turns_in_three_stretches() -> None:
    turns: list[str] = []

    def contender(name: str) -> Contender:
        return Contender(name, lambda: (turns.append, [name] * 50_000))

    timings = race([contender("a"), contender("b")], 0.2)
    changes = sum(before != after for before, after in itertools.pairwise(turns))
    assert changes >= 6
    assert {name: len(timing.stretches) for name, timing in timings.items()} == {"a": 3, "b": 3}
    assert all(timing.microseconds == min(timing.stretches) for timing in timings.values())


def test_a_profile_names_functions_and_no_folder_of_this_machine() -> None:
    issuer = MeasuredIssuer("EdDSA", tokens=5)
    for shares in (profile_first(issuer), profile_again(issuer)):
        assert any(share.function.startswith("verifier_agent/") for share in shares)
        assert not any(str(report.ROOT) in share.function or "0x" in share.function for share in shares)
        assert 0 < sum(share.percent for share in shares) < 100.1


def test_a_missed_goal_is_called_missed() -> None:
    good, bad = ({"resident": {"running": size, "full": 70e6, "sidecar": 63e6}} for size in (59e6, 61e6))
    assert [verdict.met for verdict in goals.verdicts({"memory": good})] == [True]
    assert [verdict.met for verdict in goals.verdicts({"memory": bad})] == [False]
    assert "**missed**" in report.markdown(goals.table({"memory": bad}))


@pytest.mark.parametrize(("last", "met"), [(39.0, True), (45.0, False)])
def test_growth_is_judged_by_what_each_tenfold_adds(last: float, met: bool) -> None:
    times = {"1000": {"first": 30.0}, "10000000": {"first": last - 4}}
    grown = {"digests": times, "cutoffs": times, "selectors": {"1": {"first": 1.0}, **times}}
    assert {verdict.met for verdict in goals.verdicts({"growth": {"grown": grown}})} == {met}


def test_the_page_is_written_between_its_marks_and_nowhere_else() -> None:
    page = "before\n<!-- figures: memory -->\nold\n<!-- end of figures -->\nafter\n"
    measured = report.written(page, {"memory": {"resident": {"python": 21_000_000, "running": 40_000_000}}})
    assert measured.startswith("before\n<!-- figures: memory -->\n")
    assert measured.endswith("<!-- end of figures -->\nafter\n")
    assert "| Python alone | 21.0 |" in measured
    assert "old" not in measured
    assert report.written(page, {}) == page


def test_a_mark_of_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="'speed'"):
        report.written("<!-- figures: speed -->\n<!-- end of figures -->", {})


def test_a_table_in_markdown_aligns_figures_to_the_right() -> None:
    assert report.markdown(Table("", ["WHAT", ">MB"], [("a", "1")])) == "| what | mb |\n| --- | --: |\n| a | 1 |\n\n"


def test_every_benchmark_reads_its_own_options() -> None:
    for benchmark in report.BENCHMARKS.values():
        options = benchmark.parser().parse_args([])
        assert {name: getattr(options, name) for name in benchmark.arguments} == {
            name: default for name, (default, _) in benchmark.arguments.items()
        }


def test_the_kept_results_are_those_of_the_page() -> None:
    page = report.PAGE.read_text()
    assert report.written(page, report.kept_results()) == page
