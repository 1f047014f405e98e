"""Device authorization (RFC 8628): codes for devices that have no browser, and what people decide about them."""

from issuer.devices.device import Device
from issuer.devices.device_store import DeviceStore
from issuer.devices.guessing import UserCodeGuesses

__all__ = ["Device", "DeviceStore", "UserCodeGuesses"]
