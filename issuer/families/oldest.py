"""The oldest knowledge that anything rests on which a revocation may still end."""

from typing import Any

from sqlalchemy import Select, func, select, union_all

from issuer.store.schema import codes, devices, families, sessions


def oldest_gsq() -> Select[Any]:
    """The lowest ``gsq`` of all families, sessions, codes and devices that live; nothing without any.

    Whatever else keeps a ``gsq`` belongs in here, or revocations that reach it are forgotten too soon.
    """
    living = union_all(
        select(func.min(families.c.gsq).label("gsq")).where(families.c.ended_at.is_(None)),
        select(func.min(sessions.c.gsq).label("gsq")).where(sessions.c.ended_at.is_(None)),
        select(func.min(codes.c.gsq).label("gsq")).where(codes.c.used_at.is_(None)),
        select(func.min(devices.c.gsq).label("gsq")).where(devices.c.used_at.is_(None)),
    ).subquery()
    return select(func.min(living.c.gsq))
