"""What Alembic runs to change the schema, on the connection that `services.accounts.schema` gives it."""

from alembic import context

from services.accounts.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
