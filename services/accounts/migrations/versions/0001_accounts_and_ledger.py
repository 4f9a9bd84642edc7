"""Accounts, keys, purses, reservations, entries and answers."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LIVE = sa.text("state <> 'closed'")


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("plan", sa.String(32), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("closed_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("hint", sa.String(16), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("revoked_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_keys_account_id"),
        sa.UniqueConstraint("digest", name="uq_keys_digest"),
    )
    op.create_index("ix_keys_account_id", "keys", ["account_id"])
    op.create_table(
        "purses",
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("period", sa.String(10), nullable=False),
        sa.Column("available", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("holder", "period", name="pk_purses"),
        sa.CheckConstraint("available >= 0", name=op.f("ck_purses_available")),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_purses_reserved")),
        sa.CheckConstraint("spent >= 0", name=op.f("ck_purses_spent")),
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("period", sa.String(10), nullable=False),
        sa.Column("plan", sa.String(32), nullable=False),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("work", sa.String(16), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("charged", sa.BigInteger, nullable=False),
        sa.Column("edge", sa.String(40), nullable=False),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("key_id", sa.String(40)),
        sa.Column("model", sa.String(128)),
        sa.Column("seconds", sa.Double),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("closed_at", sa.Double),
        sa.Column("answer_kept", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
    )
    op.create_index("ix_reservations_holder_opened_at", "reservations", ["holder", "opened_at"])
    for name in ("holder", "edge"):
        op.create_index(
            f"ix_reservations_live_{name}", "reservations", [name], sqlite_where=_LIVE, postgresql_where=_LIVE
        )
    op.create_table(
        "entries",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("period", sa.String(10), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("debit", sa.String(16), nullable=False),
        sa.Column("credit", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("reservation_id", sa.String(40)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("key_id", sa.String(40)),
        sa.Column("model", sa.String(128)),
        sa.Column("seconds", sa.Double),
        sa.Column("note", sa.Text),
        sa.Column("reference", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_entries"),
        sa.UniqueConstraint("holder", "reference", name="uq_entries_holder_reference"),
        sa.ForeignKeyConstraint(["reservation_id"], ["reservations.id"], name="fk_entries_reservation_id"),
        sa.CheckConstraint("amount > 0", name=op.f("ck_entries_amount")),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_entries_books")),
    )
    op.create_index("ix_entries_holder_id", "entries", ["holder", "id"])
    op.create_index("ix_entries_reservation_id", "entries", ["reservation_id"])
    _only_append()
    op.create_table(
        "answers",
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("reservation_id", sa.String(40), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32)),
        sa.Column("content_type", sa.String(64)),
        sa.Column("body", sa.LargeBinary),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("holder", "key_digest", name="pk_answers"),
        sa.UniqueConstraint("reservation_id", name="uq_answers_reservation_id"),
    )
    op.create_index("ix_answers_created_at", "answers", ["created_at"])
    made = op.create_table(
        "secrets",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("value", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secrets"),
    )
    # Addresses are kept as digests; with a secret, for all addresses there are could be tried.
    op.bulk_insert(made, [{"name": "addresses", "value": secrets.token_bytes(32)}])


def _only_append() -> None:
    """Have the database itself refuse to change an entry or to take one away."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER entries_{verb.lower()} BEFORE {verb} ON entries "
                "BEGIN SELECT RAISE(ABORT, 'entries are only appended'); END"
            )
        # REPLACE takes an entry away without the trigger of DELETE.
        op.execute(
            "CREATE TRIGGER entries_replace BEFORE INSERT ON entries "
            "WHEN EXISTS (SELECT 1 FROM entries "
            "WHERE id = NEW.id OR (holder = NEW.holder AND reference = NEW.reference)) "
            "BEGIN SELECT RAISE(ABORT, 'entries are only appended'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION refuse_to_change_entries() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'entries are only appended'; END $$"
    )
    op.execute(
        "CREATE TRIGGER entries_only_append BEFORE UPDATE OR DELETE OR TRUNCATE ON entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_entries()"
    )
