"""``sessions`` with SQLAlchemy's asyncio extension on the PostgreSQL of DATABASE_URL: all of it on the loop."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=10, max_overflow=10)


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class NoteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    text: str


async def session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as opened, opened.begin():
        yield opened


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as filling, filling.begin():
        filling.add_all(Note(id=number, text=f"note {number}") for number in range(1, 101))
    yield
    await engine.dispose()


Opened = Annotated[AsyncSession, Depends(session)]
app = FastAPI(lifespan=lifespan)


@app.get("/")
async def hello() -> str:
    return "ready"


@app.get("/notes/{number}", response_model=NoteOut)
@app.get("/async/notes/{number}", response_model=NoteOut)
async def read(number: int, opened: Opened):
    found = await opened.get(Note, number)
    if found is None:
        raise HTTPException(404, "no such note")
    return found


@app.post("/notes/{number}", response_model=NoteOut, status_code=201)
async def write(number: int, opened: Opened, fail: bool = False):
    made = Note(id=number, text=f"note {number}")
    opened.add(made)
    await opened.flush()
    if fail:
        raise HTTPException(409, "taken back")
    return made


@app.get("/state")
async def state(opened: Opened) -> dict[str, int]:
    """How many notes there are, and how many connections are out, the one that asks included."""
    return {"notes": await opened.scalar(select(func.count()).select_from(Note)) or 0, "out": engine.pool.checkedout()}  # type: ignore[attr-defined]
