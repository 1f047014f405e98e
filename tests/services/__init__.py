"""The real Kafka, Redis, Consul and PostgreSQL that the tests use, and `python -m tests.services build` to get them.

A test asks for a fixture (tests/conftest.py); docs/testing.md says how a service is found.
"""
