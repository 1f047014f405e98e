"""For how long an answer is fresh."""

import pytest

from verifier_agent.jwks.cache_rules import max_age


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"cache-control": ""}, None),
        ({"cache-control": "public"}, None),
        ({"cache-control": "max-age=300"}, 300),
        ({"cache-control": 'public, MAX-AGE="300", must-revalidate'}, 300),
        ({"cache-control": "max-age=300, max-age=60"}, 60),
        ({"cache-control": "max-age=300", "age": "100"}, 200),
        ({"cache-control": "max-age=300", "age": "900"}, 0),
        ({"cache-control": "max-age=300", "age": "soon"}, 300),
        ({"cache-control": "max-age=300, no-cache"}, 0),
        ({"cache-control": 'no-cache="Set-Cookie", max-age=300'}, 0),
        ({"cache-control": "no-store"}, 0),
        ({"cache-control": "s-maxage=300"}, None),
        ({"cache-control": "max-age=-1"}, None),
        ({"cache-control": "max-age=1e9"}, None),
        ({"cache-control": "max-age=" + "9" * 5000}, None),
        ({"cache-control": "max-age=٣٠٠"}, None),
        ({"expires": "0"}, None),
    ],
)
def test_an_answer_is_fresh_for(headers: dict[str, str], seconds: float | None) -> None:
    assert max_age(headers) == seconds
