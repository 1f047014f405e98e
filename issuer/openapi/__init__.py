"""The issuer's endpoints as an OpenAPI document."""

from issuer.openapi.document import document

__all__ = ["document"]
