"""Get ready, once, what the tests will need."""

import time
from collections.abc import Callable, Mapping, Sequence

from tests.services.kind import BuildFailed, Kind
from tests.services.search import Source, find_service, services_are_required
from tests.services.service import ServiceMissing

WIDTH = 12
WORTH_TELLING_SECONDS = 0.5


def build_all(
    kinds: Sequence[Kind],
    elsewhere: Sequence[Source],
    environ: Mapping[str, str],
    write: Callable[[str], None],
) -> int:
    """Fetch or build each service, unless the environment or Docker will provide it, and tell how it went.

    Returns the exit code: 1 if one is missing although CI is set, else 0.
    """
    missing = 0
    for kind in kinds:
        write(f"{kind.name:<{WIDTH}}")
        began = time.monotonic()
        try:
            found = _provided(kind, elsewhere) or _built(kind, write)
        except (ServiceMissing, BuildFailed, TimeoutError) as problem:
            missing += 1
            write(f"missing: {problem}\n")
            continue
        took = time.monotonic() - began
        write(f"{found} ({took:.0f} s)\n" if took > WORTH_TELLING_SECONDS else f"{found}\n")
    if missing and services_are_required(environ):
        write("CI is set, so nothing may be missing.\n")
        return 1
    if missing:
        write("Tests that need what is missing will be skipped.\n")
    return 0


def _built(kind: Kind, write: Callable[[str], None]) -> str:
    ahead = kind.work_ahead()
    if ahead:
        write(f"{ahead} … ")
    return kind.build()


def _provided(kind: Kind, elsewhere: Sequence[Source]) -> str | None:
    try:
        service = find_service(kind, elsewhere)
    except ServiceMissing:
        return None
    try:
        return service.origin
    finally:
        service.close()
