"""A session and a transaction for each request, as FastAPI's tutorial has them: SQLAlchemy 2, on the database of DATABASE_URL.

SQLite in a file of the temporary directory unless that is set.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

URL = os.environ.get("DATABASE_URL") or f"sqlite:///{tempfile.gettempdir()}/freelane-sessions-{os.getpid()}.db"
engine = create_engine(URL, pool_size=10, max_overflow=10, connect_args={"timeout": 60} if URL.startswith("sqlite") else {})


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


def session() -> Iterator[Session]:
    with Session(engine) as opened, opened.begin():
        yield opened


Opened = Annotated[Session, Depends(session)]
app = FastAPI()
Base.metadata.drop_all(engine)
Base.metadata.create_all(engine)
with Session(engine) as filling, filling.begin():
    filling.add_all(Note(id=number, text=f"note {number}") for number in range(1, 101))


@app.get("/")
async def hello() -> str:
    return "ready"


@app.get("/notes/{number}", response_model=NoteOut)
def read(number: int, opened: Opened):
    found = opened.get(Note, number)
    if found is None:
        raise HTTPException(404, "no such note")
    return found


@app.get("/async/notes/{number}", response_model=NoteOut)
async def read_async(number: int, opened: Opened):
    return opened.get(Note, number)


@app.post("/notes/{number}", response_model=NoteOut, status_code=201)
def write(number: int, opened: Opened, fail: bool = False):
    made = Note(id=number, text=f"note {number}")
    opened.add(made)
    opened.flush()
    if fail:
        raise HTTPException(409, "taken back")
    return made


@app.get("/state")
def state(opened: Opened) -> dict[str, int]:
    """How many notes there are, and how many connections are out, the one that asks included."""
    return {"notes": opened.scalar(select(func.count()).select_from(Note)) or 0, "out": engine.pool.checkedout()}  # type: ignore[attr-defined]
