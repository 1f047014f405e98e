"""Families: all tokens that come of one consent, kept together so that they end together."""

from issuer.families.family import Family
from issuer.families.family_store import FamilyStore
from issuer.families.standing import Standing

__all__ = ["Family", "FamilyStore", "Standing"]
