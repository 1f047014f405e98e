"""Signatures and thumbprints as the RFCs print them."""

from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from events import KeySet, KeyState, PublishedKey, base64url
from events.thumbprint import thumbprint
from tests.simulator import b64
from verifier_agent.keyring import Keyring

RFC7515_PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
RFC7515_A2_N = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
    "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
    "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
    "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
)
RFC7515_A2_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9"
    "uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB"
    "_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq"
    "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)

VECTORS = [
    pytest.param(
        "RS256",
        {"kty": "RSA", "n": RFC7515_A2_N, "e": "AQAB"},
        f"eyJhbGciOiJSUzI1NiJ9.{RFC7515_PAYLOAD}",
        RFC7515_A2_SIGNATURE,
        id="RFC 7515 appendix A.2",
    ),
    pytest.param(
        "ES256",
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        f"eyJhbGciOiJFUzI1NiJ9.{RFC7515_PAYLOAD}",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        id="RFC 7515 appendix A.3",
    ),
    pytest.param(
        "EdDSA",
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        id="RFC 8037 appendix A.4",
    ),
]


@pytest.mark.parametrize(("alg", "jwk", "signing_input", "signature"), VECTORS)
def test_a_published_signature_is_good_and_a_changed_one_is_not(
    alg: str, jwk: dict[str, str], signing_input: str, signature: str
) -> None:
    keyring = Keyring()
    keyring.apply(1, KeySet(keys=(PublishedKey(kid="k", alg=alg, state=KeyState.ACTIVE, jwk=jwk),)))
    key = keyring.get("k")
    assert key is not None
    octets = base64url.decode(signature.encode())

    def verify(octets: bytes, signed: bytes) -> None:
        key.verify(octets, signed)

    verify(octets, signing_input.encode())

    with pytest.raises(InvalidSignature):
        verify(octets, signing_input.encode() + b"A")
    for at in (0, len(octets) // 2, len(octets) - 1):
        with pytest.raises(InvalidSignature):
            verify(octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :], signing_input.encode())


RFC7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
    "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
    "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
    "kEgU8awapJzKnqDKgw"
)


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        pytest.param(
            {"kty": "RSA", "n": RFC7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"},
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            id="RFC 7638 section 3.1",
        ),
        pytest.param(
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            id="RFC 8037 appendix A.3",
        ),
    ],
)
def test_a_key_has_the_published_thumbprint(jwk: dict[str, str], expected: str) -> None:
    assert thumbprint(jwk) == expected


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"f", "Zg"),
        (b"fo", "Zm8"),
        (b"foo", "Zm9v"),
        (b"foob", "Zm9vYg"),
        (b"fooba", "Zm9vYmE"),
        (b"foobar", "Zm9vYmFy"),
        (bytes([3, 236, 255, 224, 193]), "A-z_4ME"),
    ],
    ids=["RFC 4648 section 10"] * 7 + ["RFC 7515 appendix C"],
)
def test_base64url_decodes_as_published(data: bytes, text: str) -> None:
    assert base64url.decode(text.encode()) == data
    assert b64(data) == text


@pytest.mark.parametrize("text", ["Zh", "Zm9", "Zg==", "Zm8=", "Z", "Zm9vY", "A+z/4ME", "Zm 9v", "Zm9v\n"])
def test_base64url_of_another_form_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        base64url.decode(text.encode())
