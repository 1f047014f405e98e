"""Redis: where agents put what they have heard for others to start from, and the deny-list for other languages.

Never the truth, and never asked while a token is verified. Importing this loads redis-py; ``import verifier_agent``
does not.
"""

from verifier_agent.redis.connection import RedisConnection, RedisRefused
from verifier_agent.redis.deny_list import DenyList
from verifier_agent.redis.settings import RedisPlace
from verifier_agent.redis.share import RedisShare
from verifier_agent.redis.state_store import RedisStateStore

__all__ = ["DenyList", "RedisConnection", "RedisPlace", "RedisRefused", "RedisShare", "RedisStateStore"]
