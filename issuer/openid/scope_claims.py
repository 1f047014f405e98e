"""Which claims of a user's record a scope lets a client know (OpenID Connect Core section 5.4)."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from issuer.users import User
from issuer.users.standard_claims import is_fit

OPENID: Final = "openid"
"""The scope that makes a request one of OpenID Connect (section 3.1.2.1)."""

CLAIMS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "profile": (
        *("name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture"),
        *("website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"),
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
}
"""Claims by scope. Nothing else of a record gets out by UserInfo: what access tokens bear is set apart from it."""

SCOPES: Final = (OPENID, *CLAIMS_OF)


def released(user: User, scope: Collection[str]) -> dict[str, Any]:
    """What a client with these scopes may know of a user; ``sub`` in any case.

    The user name stands in for ``preferred_username`` where the record has none. A claim that is empty, or not of the
    type that clients expect, is left out.
    """
    record = {"preferred_username": user.username, **user.claims}
    wanted = [name for each, names in CLAIMS_OF.items() if each in scope for name in names]
    return {"sub": user.sub, **{name: record[name] for name in wanted if name in record and is_fit(name, record[name])}}
