"""The tables of the store. The migrations make them; what is said here is what queries know of them.

Times are seconds since 1970. A *holder* is who uses up: an account, or an anonymous address (`ip:` and a digest).
A *purse* is what a holder has in one period; what was bought lies in the purse of no period, the empty string.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite only counts up a primary key that it calls INTEGER."""

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("plan", String(32), nullable=False),
    Column("created_at", Double, nullable=False),
    # Its keys are refused from then on.
    Column("closed_at", Double),
)

KEYS = Table(
    "keys",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("account_id", String(40), ForeignKey("accounts.id"), nullable=False, index=True),
    # SHA-256 of the key: 256 random bits need no slow hash, and the key itself is kept nowhere.
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    # Its first characters, by which its owner knows it again.
    Column("hint", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
)

PURSES = Table(
    "purses",
    METADATA,
    Column("holder", String(80), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("available", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    CheckConstraint("available >= 0", name="available"),
    CheckConstraint("reserved >= 0", name="reserved"),
    CheckConstraint("spent >= 0", name="spent"),
)

RESERVATIONS = Table(
    "reservations",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("holder", String(80), nullable=False),
    Column("period", String(10), nullable=False),
    Column("plan", String(32), nullable=False),
    Column("unit", String(16), nullable=False),
    Column("work", String(16), nullable=False),
    # open: it runs; settled: it is paid and on its way to the caller; closed: all is said.
    Column("state", String(8), nullable=False),
    # What became of it: answered, failed, cancelled, expired, undelivered; empty while it is not closed.
    Column("outcome", String(16), nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),
    # The process that runs it, and until when it has said that it lives.
    Column("edge", String(40), nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("key_id", String(40)),
    Column("model", String(128)),
    # Of audio.
    Column("seconds", Double),
    Column("opened_at", Double, nullable=False),
    Column("closed_at", Double),
    # Whether whoever repeats the request gets the answer: then it is delivered as soon as it is settled.
    Column("answer_kept", Boolean, nullable=False),
    Index(None, "holder", "opened_at"),
    Index(
        "ix_reservations_live_holder",
        "holder",
        sqlite_where=text("state <> 'closed'"),
        postgresql_where=text("state <> 'closed'"),
    ),
    Index(
        "ix_reservations_live_edge",
        "edge",
        sqlite_where=text("state <> 'closed'"),
        postgresql_where=text("state <> 'closed'"),
    ),
)

ENTRIES = Table(
    "entries",
    METADATA,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("holder", String(80), nullable=False),
    Column("period", String(10), nullable=False),
    Column("kind", String(16), nullable=False),
    # Double entry: so much from one book of the purse to another.
    Column("debit", String(16), nullable=False),
    Column("credit", String(16), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reservation_id", String(40), ForeignKey("reservations.id")),
    Column("request_id", String(128)),
    Column("key_id", String(40)),
    Column("model", String(128)),
    Column("seconds", Double),
    Column("note", Text),
    # Of whoever gave credits: given twice under the same, they are given once.
    Column("reference", String(64)),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("debit <> credit", name="books"),
    Index(None, "holder", "id"),
    Index(None, "reservation_id"),
    UniqueConstraint("holder", "reference"),
)

ANSWERS = Table(
    "answers",
    METADATA,
    Column("holder", String(80), primary_key=True),
    # SHA-256 of the Idempotency-Key.
    Column("key_digest", LargeBinary(32), primary_key=True),
    # Who is at it, or gave the answer.
    Column("reservation_id", String(40), nullable=False),
    # SHA-256 of what was asked; None until all of it has come.
    Column("fingerprint", LargeBinary(32)),
    Column("content_type", String(64)),
    # None until there is an answer.
    Column("body", LargeBinary),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("reservation_id"),
    Index(None, "created_at"),
)

SECRETS = Table(
    "secrets",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary(32), nullable=False),
)
