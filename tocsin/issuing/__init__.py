"""How many tokens an issuer makes in a second of its processor, and how long their clients wait, beside other issuers."""
