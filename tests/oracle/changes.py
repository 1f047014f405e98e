"""What can be done to a token before it is signed. Some of it leaves a good token."""

from collections.abc import Callable
from typing import Any, Final

from tests.oracle.recipe import GONE_KEYS, GOOD_KEYS, STRANGER, Recipe
from tests.simulator import AUDIENCE, ISSUER, NOON

EDGES: Final = [int(NOON) + offset for offset in (-3600, -6, -5, -4, -1, 0, 1, 4, 5, 6, 3600)]
ODD_VALUES: Final[list[Any]] = [
    True, False, 0, 1, -1, 0.5, -0.0, 2**53, 2**64, 10**30, 10**400, "", "0", "alice", "\0", "\u2028", "\U0001f600",
    [], ["alice"], [0], [None], [[]], {}, {"x": 1}, str(int(NOON) + 60), "1e9", f" {int(NOON) + 60} ",
]  # fmt: skip
"""``null`` is not among them: see ``test_null_is_not_taken_for_an_absent_claim``."""
CLAIMS: Final = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "rsq", "x"]


def another_alg(recipe: Recipe) -> None:
    names = ["ES256", "RS256", "EdDSA", "none", "None", "HS256", "es256", "ES384", "PS256", "", None, 0, ["ES256"]]
    recipe.header["alg"] = recipe.random.choice(names)


def another_kid(recipe: Recipe) -> None:
    kids: list[Any] = [key.kid for key in (*GOOD_KEYS, *GONE_KEYS, STRANGER)]
    recipe.header["kid"] = recipe.random.choice([*kids, "nobody", "", " ES256-1", "es256-1", None, 1, ["ES256-1"], {}])


def another_key(recipe: Recipe) -> None:
    """Signed by a key that counts under its own name, or by one that does not."""
    recipe.key = recipe.random.choice([*GOOD_KEYS, *GONE_KEYS, STRANGER])
    if recipe.random.random() < 0.7:
        recipe.header |= {"alg": recipe.key.alg, "kid": recipe.key.kid}


def another_typ(recipe: Recipe) -> None:
    types: list[Any] = [
        "JWT",
        "AT+JWT",
        "application/at+jwt",
        "Application/At+Jwt",
        "secevent+jwt",
        "",
        "at+jwt ",
        None,
        1,
        [],
    ]
    recipe.header["typ"] = recipe.random.choice(types)


def a_member_less_in_the_header(recipe: Recipe) -> None:
    recipe.header.pop(recipe.random.choice(["alg", "kid", "typ"]), None)


def a_member_more_in_the_header(recipe: Recipe) -> None:
    name = recipe.random.choice(["jku", "x5u", "jwk", "x5c", "cty", "x", "nonce", "Crit", ""])
    recipe.header[name] = recipe.random.choice(["https://evil.example", STRANGER.jwk(), ["x"], 1, None])


def a_member_that_changes_the_meaning(recipe: Recipe) -> None:
    more: list[dict[str, Any]] = [
        {"crit": ["b64"], "b64": True}, {"crit": ["b64"], "b64": False}, {"b64": False}, {"b64": True}, {"crit": []},
        {"crit": ["exp"], "exp": 1}, {"crit": "b64"}, {"crit": None}, {"zip": "DEF"}, {"enc": "A256GCM"}, {"b64": None},
    ]  # fmt: skip
    recipe.header |= recipe.random.choice(more)


def a_claim_of_another_value(recipe: Recipe) -> None:
    recipe.payload[recipe.random.choice(CLAIMS)] = recipe.random.choice(ODD_VALUES)


def a_claim_less(recipe: Recipe) -> None:
    recipe.payload.pop(recipe.random.choice(CLAIMS), None)


def a_time_near_its_edge(recipe: Recipe) -> None:
    """PyJWT cuts fractions off, so there are none in the second of an edge."""
    edge = recipe.random.choice(EDGES)
    spelled = [edge, edge, float(edge), str(edge), edge + 0.5 if abs(edge - NOON) > 60 else edge]
    recipe.payload[recipe.random.choice(["exp", "exp", "iat", "nbf"])] = recipe.random.choice(spelled)


def another_audience(recipe: Recipe) -> None:
    audiences: list[Any] = [
        AUDIENCE, [AUDIENCE], ["x", AUDIENCE], ["x"], [], "", "x", AUDIENCE.upper(), f"{AUDIENCE} x",
        [AUDIENCE, AUDIENCE], [AUDIENCE, 1], [AUDIENCE, None], [[AUDIENCE]], {AUDIENCE: 1}, 1, True, ["x"] * 300,
    ]  # fmt: skip
    recipe.payload["aud"] = recipe.random.choice(audiences)


def another_issuer(recipe: Recipe) -> None:
    issuers: list[Any] = [f"{ISSUER}/", ISSUER.upper(), f" {ISSUER}", "", [ISSUER], {ISSUER: 1}, ISSUER[:-1], 0]
    recipe.payload["iss"] = recipe.random.choice(issuers)


def more_claims(recipe: Recipe) -> None:
    more: list[dict[str, Any]] = [
        {"groups": ["x"] * recipe.random.choice([1, 256, 257])}, {"x": {"y": [{"z": []}]}}, {"": ""}, {"exp ": 0},
        {"EXP": 0}, {"x": "y" * recipe.random.choice([100, 3000, 7000])}, {"scope": " ".join(map(str, range(257)))},
        {"x": 2**70}, {"x": -1.5e300}, {"cnf": {"jkt": "x"}}, {"x": None},
    ]  # fmt: skip
    recipe.payload |= recipe.random.choice(more)


def another_text(recipe: Recipe) -> None:
    """JSON spelled in another way, or no longer JSON."""
    header, payload = recipe.texts()
    change = recipe.random.choice(TEXTS)
    if recipe.random.random() < 0.7:
        recipe.payload_text = change(payload)
    else:
        recipe.header_text = change(header)


def _with(member: bytes) -> Callable[[bytes], bytes]:
    return lambda text: text[:-1] + b"," + member + b"}"


TEXTS: Final[list[Callable[[bytes], bytes]]] = [
    *map(_with, [
        b'"x":NaN', b'"x":-Infinity', b'"exp":Infinity', b'"x":1e400', b'"x":01', b'"x":"\xff"', b'"x":"\\ud800"',
        b'"x":"\n"', b"", b'"x":' + b"[" * 50 + b"]" * 50, b'"x":' + b"[" * 3000, b'"kid":"ES256-1"', b'"alg":"none"',
        b'"exp":1', b'"exp":1800000600', b'"sub":"admin"', b'"x":1,"x":2', b'"\\u0073ub":"admin"', b'"typ":"JWT"',
    ]),
    lambda text: b" " + text + b"\r\n",
    lambda text: b"\xef\xbb\xbf" + text,
    lambda text: text.decode("latin-1").encode("utf-16"),
    lambda text: text + b"\0",
    lambda text: text + b"{}",
    lambda text: text[:-1],
    lambda text: b"[" + text + b"]",
    lambda text: text.replace(b", ", b" ,\n\t").replace(b": ", b"\r:"),
    lambda _: b"",
    lambda _: b"null",
    lambda _: b"{}",
]  # fmt: skip

CHANGES: Final[list[Callable[[Recipe], None]]] = [
    another_alg, another_kid, another_key, another_typ, a_member_less_in_the_header, a_member_more_in_the_header,
    a_member_that_changes_the_meaning, *[a_claim_of_another_value] * 4, *[a_claim_less] * 2,
    *[a_time_near_its_edge] * 4, *[another_audience] * 2, another_issuer, *[more_claims] * 2, *[another_text] * 3,
]  # fmt: skip
