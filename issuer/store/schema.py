"""The tables. Times are seconds since the epoch by the store's clock."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

streams = Table(
    "streams",
    metadata,
    Column("stream", String(32), primary_key=True),
    # The counter: incremented in the deciding transaction, its row locked until that commits.
    Column("head", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    # Newest time that an event of the stream was signed with; it never falls.
    Column("time", Float, nullable=False),
    # Moved by the relay, after the log's acknowledgement.
    Column("published", BigInteger, nullable=False),
    # Generation of the event key that signs the next number: whoever counts on sees with the number whose it is.
    Column("event_key", Integer, nullable=False, server_default="0"),
)

event_keys = Table(
    "event_keys",
    metadata,
    # How many came before it. Nothing is ever removed from here.
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("kid", String(64), nullable=False, unique=True),
    Column("public_jwk", JSON, nullable=False),
    # Thumbprint of the key that may succeed it, whose private half is offline; empty when there is none.
    Column("successor", String(64), nullable=False),
    # By stream the last seq that it has signed; nothing while it signs.
    Column("ends", JSON(none_as_null=True)),
    Column("began_at", Float, nullable=False),
    # The succession by which it began, as it was signed: here too, for it is told for ever, whatever became of its
    # number. The first has none, and neither has one that was adopted.
    Column("seq", BigInteger),
    Column("digest", String(32)),
    Column("event", LargeBinary),
)

outbox = Table(
    "outbox",
    metadata,
    Column("stream", String(32), ForeignKey("streams.stream"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("type", String(128), nullable=False),
    Column("txn", String(64), nullable=False),
    Column("time", Float, nullable=False),
    Column("expires_at", Float),
    Column("target", BigInteger),
    Column("detail", JSON, nullable=False),
    Column("actor", String(256), nullable=False),
    Column("reason", String(1024), nullable=False),
    Column("digest", String(32), nullable=False),
    # The signed event, published as it is, as often as need be.
    Column("event", LargeBinary, nullable=False),
    Index("ix_outbox_txn", "txn"),
    Index("ix_outbox_target", "stream", "target"),
    Index("ix_outbox_expires_at", "stream", "expires_at"),
)

ceilings = Table(
    "ceilings",
    metadata,
    # A longest token life that a replica works with, and when it last said so.
    Column("seconds", Float, primary_key=True),
    Column("last_used", Float, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires_at", Float, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("use", String(16), nullable=False),  # "token" or "event"
    Column("alg", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("public_jwk", JSON, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("kek_id", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    # Of a token key: the key set that it was first published in, how often it has signed as far as replicas have said,
    # and since when and why another is to take its place.
    Column("published_seq", BigInteger),
    Column("signatures", BigInteger, nullable=False, server_default="0"),
    Column("due_since", Float),
    Column("due_reason", String(256), nullable=False, server_default=""),
    Column("list_rank", Integer),  # its place in the list of configuration that is in force
    Index("ix_keys_use", "use"),
)

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(128), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("grants", JSON, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("audiences", JSON, nullable=False),
    Column("token_lifetime", Float),
    Column("token_alg", String(16)),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    # Public JWKs, of a client that authenticates with assertions; then it has no secret.
    Column("jwks", JSON, nullable=False, server_default="[]"),
    Column("redirect_uris", JSON, nullable=False, server_default="[]"),
    Column("post_logout_redirect_uris", JSON, nullable=False, server_default="[]"),
    Column("public", Boolean, nullable=False, server_default=false()),
    Column("skip_consent", Boolean, nullable=False, server_default=false()),
)

assertions = Table(
    "assertions",
    metadata,
    # Of an assertion that was used: hash of client and jti.
    Column("name", LargeBinary, primary_key=True),
    Column("expires_at", Float, nullable=False),
    Index("ix_assertions_expires_at", "expires_at"),
)

client_secrets = Table(
    "client_secrets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("client_id", String(128), ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_client_secrets_client_id", "client_id"),
)

users = Table(
    "users",
    metadata,
    Column("sub", String(128), primary_key=True),
    Column("username", String(128), nullable=False, unique=True),
    Column("password", String(256)),  # Argon2id, with its parameters
    Column("claims", JSON, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
)

families = Table(
    "families",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("grant_type", String(128), nullable=False),
    Column("client_id", String(128), ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
    Column("sub", String(128), nullable=False),
    Column("scope", JSON, nullable=False),
    Column("audience", JSON, nullable=False),
    # The revocations known before the user authenticated.
    Column("gsq", BigInteger, nullable=False),
    Column("auth_time", Float, nullable=False),
    Column("claims", JSON, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("ended_at", Float),
    Index("ix_families_expires_at", "expires_at"),
    Index("ix_families_client_id", "client_id"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("family", String(64), ForeignKey("families.id", ondelete="CASCADE"), nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
    # What was given for it; for a moment it may be asked for again.
    Column("successor", LargeBinary),
    Index("ix_refresh_tokens_family", "family"),
)

agents = Table(
    "agents",
    metadata,
    # Thumbprint of its key (RFC 7638).
    Column("id", String(64), primary_key=True),
    Column("client_id", String(128), nullable=False),
    Column("jwk", JSON, nullable=False),
    Column("enrolled_at", Float, nullable=False),
    # Of its newest status: its place among what this agent says, what it says, and when it was heard.
    Column("seq", BigInteger, nullable=False),
    Column("status", JSON, nullable=False),
    Column("heard_at", Float, nullable=False),
    # By an operator, with why and who.
    Column("removed_at", Float),
    Column("removed_by", String(256), nullable=False, server_default=""),
    Column("removed_for", String(1024), nullable=False, server_default=""),
    Index("ix_agents_heard_at", "heard_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", LargeBinary, primary_key=True),  # of what the cookie holds
    Column("sid", String(64), nullable=False, unique=True),
    Column("sub", String(128), nullable=False),
    # As for families.
    Column("gsq", BigInteger, nullable=False),
    Column("auth_time", Float, nullable=False),
    Column("amr", JSON, nullable=False),
    Column("used_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("ended_at", Float),
    Index("ix_sessions_expires_at", "expires_at"),
)

codes = Table(
    "codes",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("client_id", String(128), ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
    Column("redirect_uri", String(2048), nullable=False),
    Column("code_challenge", String(64), nullable=False),
    Column("nonce", String(512)),
    Column("sub", String(128), nullable=False),
    Column("sid", String(64), nullable=False),
    Column("scope", JSON, nullable=False),
    Column("audience", JSON, nullable=False),
    # Those of the session.
    Column("gsq", BigInteger, nullable=False),
    Column("auth_time", Float, nullable=False),
    Column("amr", JSON, nullable=False),
    Column("expires_at", Float, nullable=False),
    # When it was redeemed, and for which family.
    Column("used_at", Float),
    Column("family", String(64)),
    Index("ix_codes_expires_at", "expires_at"),
)

consents = Table(
    "consents",
    metadata,
    Column("sub", String(128), primary_key=True),
    Column("client_id", String(128), ForeignKey("clients.client_id", ondelete="CASCADE"), primary_key=True),
    Column("scope", String(128), primary_key=True),
    Column("given_at", Float, nullable=False),
)

login_failures = Table(
    "login_failures",
    metadata,
    # Hash of what is counted: failures of an account at an address, of an account, of an address; or, with a count of
    # 0, that an account was logged in from an address.
    Column("name", LargeBinary, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index("ix_login_failures_expires_at", "expires_at"),
)

devices = Table(
    "devices",
    metadata,
    Column("hash", LargeBinary, primary_key=True),  # of the device code
    # Plain: to be found it must be, and whoever reads it here has gained no token.
    Column("user_code", String(16), nullable=False, unique=True),
    Column("client_id", String(128), ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
    Column("scope", JSON, nullable=False),
    Column("audience", JSON, nullable=False),
    # Seconds between polls, and when the last one was.
    Column("interval", Integer, nullable=False),
    Column("polled_at", Float),
    Column("expires_at", Float, nullable=False),
    Column("denied", Boolean, nullable=False),
    # Of the session in which it was allowed; nothing before.
    Column("sub", String(128)),
    Column("sid", String(64)),
    Column("gsq", BigInteger),
    Column("auth_time", Float),
    Column("amr", JSON),
    Column("used_at", Float),
    Index("ix_devices_expires_at", "expires_at"),
)

user_code_guesses = Table(
    "user_code_guesses",
    metadata,
    Column("sub", String(128), primary_key=True),
    # Wrong ones, until they are forgotten.
    Column("count", Integer, nullable=False),
    Column("ends_at", Float, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("kind", String(32), primary_key=True),
    # How often something of this kind was changed, and what it was the last time: for those who hold copies.
    Column("number", BigInteger, nullable=False),
    Column("name", String(128), nullable=False),
)

kek_holders = Table(
    "kek_holders",
    metadata,
    # A running issuer, what to call it, the key-encryption keys it holds (it seals with the first), and when it said
    # so.
    Column("holder", String(64), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("kek_ids", JSON, nullable=False),
    Column("said_at", Float, nullable=False),
)
