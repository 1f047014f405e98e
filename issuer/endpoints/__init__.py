"""What the issuer answers over HTTP: one module an endpoint."""
