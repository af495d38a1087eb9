"""An AI agent's server: tools over MCP, answers as server-sent events, conversations in shared state.

freelane run benchmarks.apps.pyre.agent:app
curl -N 'http://127.0.0.1:8000/chat/bob?prompt=hello'
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from freelane.adapters.pyre import HTTPException, Pyre, PyreStream, exceptions

DOCUMENTS = {
    "gil": "Free-threaded Python runs threads on all cores.",
    "asgi": "ASGI is the interface between async Python apps and servers.",
    "mcp": "MCP lets models call tools over JSON-RPC.",
}
KEPT = 20  # messages of a conversation

app = Pyre(title="Agent")
app.mcp.instructions = "Search before you answer; remember what the user tells you."
# References, or the loop forgets its tasks.
writers: set[asyncio.Task[None]] = set()


@app.mcp.tool
def search(query: str, limit: int = 3) -> list[dict[str, str]]:
    """Find documents that have the words of the query."""
    words = query.lower().split()
    found = [(name, text) for name, text in DOCUMENTS.items() if any(w in name + " " + text.lower() for w in words)]
    return [{"name": name, "text": text} for name, text in found[:limit]]


@app.mcp.tool
async def remember(session: str, fact: str) -> str:
    """Keep a fact for a session."""
    add(session, "memory", fact)
    return f"kept, {len(history(session))} entries"


@app.mcp.resource("session://{session}", description="A conversation")
def session_resource(session: str) -> list[dict[str, str]]:
    return history(session)


@app.mcp.prompt("answer", description="Answer from the documents")
def answer_prompt(question: str) -> str:
    return f"Answer with what `search` finds only. Question: {question}"


def history(session: str) -> list[dict[str, str]]:
    return json.loads(app.state.get(f"session:{session}") or "[]")  # type: ignore[no-any-return]


def add(session: str, role: str, content: str) -> None:
    entries = [*history(session), {"role": role, "content": content}]
    app.state[f"session:{session}"] = json.dumps(entries[-KEPT:])


async def tokens(prompt: str) -> AsyncIterator[str]:
    """Stands for a model's output."""
    found = search(prompt)
    text = found[0]["text"] if found else f"I know nothing about {prompt}."
    for word in text.split():
        await asyncio.sleep(0.02)
        yield word + " "


@app.get("/chat/{session}")
async def chat(session: str, prompt: str) -> PyreStream:
    """Answer token by token; what was said is in the session when the stream ends."""
    if not prompt.strip():
        raise exceptions.BadRequest("the prompt is empty")
    stream = PyreStream()

    async def write() -> None:
        said = []
        try:
            async for token in tokens(prompt):
                said.append(token)
                await stream.asend_event(token, event="token")
            add(session, "user", prompt)
            add(session, "assistant", "".join(said).strip())
            await stream.asend_event(json.dumps({"tokens": len(said)}), event="done")
        except ConnectionError:
            app.state.incr("abandoned", 1)
        finally:
            stream.close()

    task = asyncio.create_task(write())
    writers.add(task)
    task.add_done_callback(writers.discard)
    return stream


@app.get("/sessions/{session}")
def read_session(session: str) -> dict[str, Any]:
    entries = history(session)
    if not entries:
        raise HTTPException(f"no session '{session}'", status_code=404)
    return {"session": session, "entries": entries}


@app.delete("/sessions/{session}")
def forget(session: str) -> tuple[str, int]:
    app.state.delete(f"session:{session}")
    return "", 204


if __name__ == "__main__":
    app.run()
