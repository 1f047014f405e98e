"""Brings up the stack of ``docker-compose.yml`` and looks at it from outside: ``make compose``.

It is no part of the test suite: it needs a Docker engine and builds an image. Standard library only.
"""
