"""Alembic's way in: migrations run on the connection that ``issuer.store.migration`` hands over."""

from alembic import context

from issuer.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
