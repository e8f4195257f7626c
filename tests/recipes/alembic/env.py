"""Alembic's surroundings for a test: DATABASE_URL says where to migrate, and by which driver."""

import asyncio
import os

import sqlalchemy
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

url = os.environ["DATABASE_URL"]


def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def migrate_async():
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


if context.is_offline_mode():
    context.configure(url=url, literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()
elif "+asyncpg" in url:
    asyncio.run(migrate_async())
else:
    with sqlalchemy.create_engine(url).connect() as connection:
        migrate(connection)
