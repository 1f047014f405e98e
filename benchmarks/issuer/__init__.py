"""The issuer beside others: a bare handler of aiohttp, and oidc-provider where Node is installed."""
