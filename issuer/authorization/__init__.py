"""The authorization endpoint's rules: what a request may ask, codes, consents."""
