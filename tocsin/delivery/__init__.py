"""How soon agents hear, how they start, what they cost at rest, and whether verifying feels an outage."""

from tocsin.delivery.reach import DeliveryResult, Spread, fetch_token, measure
from tocsin.delivery.site import FEED, Site, Workers, site

__all__ = ["FEED", "DeliveryResult", "Site", "Spread", "Workers", "fetch_token", "measure", "site"]
