"""For how long an answer stays fresh, by its headers (RFC 9111 sections 4.2 and 5.2)."""

import re
from collections.abc import Mapping
from typing import Final

_MAX_AGE: Final = re.compile(r"max-age\s*=\s*\"?(\d{1,10})\"?", re.ASCII)
_SECONDS: Final = re.compile(r"\d{1,10}", re.ASCII)


def max_age(headers: Mapping[str, str]) -> float | None:
    """Seconds for which the answer is fresh from now on; ``None`` when it does not say.

    What a shared cache on the way has held it for is taken off. ``no-store`` and ``no-cache`` are 0: they ask to
    be asked again each time, and settings say how often that can be.

    Args:
        headers: by lower-case name.
    """
    directives = [part.strip().lower() for part in headers.get("cache-control", "").split(",")]
    if "no-store" in directives or any(part.partition("=")[0] == "no-cache" for part in directives):
        return 0.0
    ages = [int(found[1]) for part in directives if (found := _MAX_AGE.fullmatch(part))]
    if not ages:
        return None
    age = headers.get("age", "").strip()
    return float(max(0, min(ages) - (int(age) if _SECONDS.fullmatch(age) else 0)))
