"""How many tokens an issuer makes in a second of its processor, beside other issuers, and how long clients wait."""
