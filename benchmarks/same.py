"""What every contender's endpoints share, so that only framework and server differ."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

# Found last by a table that is searched in order.
FILLERS = 99
ROWS = 100
BODY = '{"name": "lane", "price": 2.5, "tags": ["a", "b"]}'
REQUESTS = (
    "GET /plain",
    "GET /json",
    "GET /items/7",
    f"POST /items {BODY}",
    "GET /compute",
    "GET /session/7",
    "GET /last/7",
)


def compute() -> dict[str, int]:
    """Some 200 microseconds of pure Python."""
    total = 0
    for number in range(2000):
        total += number * number % 7
    return {"total": total}


def priced(name: str, price: float, tags: list[str]) -> dict[str, Any]:
    return {"name": name, "total": price * 2, "tags": tags}


class Store:
    """A table of items in SQLite, asked through a SQLAlchemy session that lives as long as a request."""

    def __init__(self) -> None:
        from sqlalchemy import Integer, String, create_engine, orm, select

        class Base(orm.DeclarativeBase):
            pass

        class Row(Base):
            __tablename__ = "items"
            id = orm.mapped_column(Integer, primary_key=True)
            name = orm.mapped_column(String)

        # One for each process, and removed by the system's own cleaning: a killed server cannot.
        path = Path(tempfile.gettempdir()) / f"freelane-benchmark-{os.getpid()}.sqlite"
        path.unlink(missing_ok=True)
        self.engine = create_engine(f"sqlite:///{path}")
        Base.metadata.create_all(self.engine)
        with orm.Session(self.engine) as session:
            session.add_all(Row(id=number, name=f"item {number}") for number in range(ROWS))
            session.commit()
        self.session = orm.sessionmaker(self.engine)
        self.query = lambda number: select(Row).where(Row.id == number)

    def item(self, session: Any, number: int) -> dict[str, Any]:
        row = session.execute(self.query(number)).scalar_one()
        return {"id": row.id, "name": row.name}
