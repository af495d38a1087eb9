"""``sessions`` with SQLModel: the table is the response model, on the database of DATABASE_URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import func
from sqlmodel import Field, Session, SQLModel, create_engine, select

URL = os.environ["DATABASE_URL"]
engine = create_engine(URL, pool_size=10, max_overflow=10, connect_args={"timeout": 60} if URL.startswith("sqlite") else {})


class Note(SQLModel, table=True):
    id: int = Field(primary_key=True)
    text: str


def session() -> Iterator[Session]:
    with Session(engine) as opened, opened.begin():
        yield opened


Opened = Annotated[Session, Depends(session)]
app = FastAPI()
SQLModel.metadata.drop_all(engine)
SQLModel.metadata.create_all(engine)
with Session(engine) as filling, filling.begin():
    filling.add_all(Note(id=number, text=f"note {number}") for number in range(1, 101))


@app.get("/")
async def hello() -> str:
    return "ready"


@app.get("/notes/{number}", response_model=Note)
def read(number: int, opened: Opened):
    found = opened.get(Note, number)
    if found is None:
        raise HTTPException(404, "no such note")
    return found


@app.get("/async/notes/{number}", response_model=Note)
async def read_async(number: int, opened: Opened):
    return opened.get(Note, number)


@app.post("/notes/{number}", response_model=Note, status_code=201)
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
    return {"notes": opened.exec(select(func.count()).select_from(Note)).one(), "out": engine.pool.checkedout()}  # type: ignore[attr-defined]
