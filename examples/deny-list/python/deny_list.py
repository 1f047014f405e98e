"""Whether a token has been revoked, by Tocsin's deny-list in Redis. Verify its signature and its times first.

python deny_list.py 127.0.0.1:6379 TOKEN [JTI]
"""

import sys
from hashlib import sha256

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

WAIT = 0.05  # seconds; a Redis that hangs must not hang the service, and redis-py's own retries take a minute
FAIL_OPEN = False  # whether to take tokens when Redis cannot say


def is_revoked(client: redis.Redis, token: str, jti: str | None = None) -> bool:
    """By its signing input (all before the last dot, as a signature can be spelt in two ways) or by its jti."""
    hashes = [sha256(text.encode()).hexdigest() for text in (token.rpartition(".")[0], jti) if text]
    try:
        if not client.exists("revoked-level"):  # nobody keeps the list: that it is empty means nothing
            raise redis.ConnectionError("the deny-list is not level")
        if not client.exists(*(f"revoked:{one[:8]}" for one in hashes)):  # shared by strangers: a first look
            return False
        return bool(client.exists(*(f"revoked:{one[:16]}" for one in hashes)))  # this decides
    except redis.RedisError:
        if FAIL_OPEN:
            return False
        raise


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    waits = {"socket_timeout": WAIT, "socket_connect_timeout": WAIT, "retry": Retry(NoBackoff(), 0)}
    try:
        print("revoked" if is_revoked(redis.Redis(host, int(port), **waits), *sys.argv[2:]) else "good")
    except redis.RedisError as error:
        sys.exit(f"nobody can say: {error}")  # a service answers 503
