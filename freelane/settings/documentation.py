"""The tables of options in migration_guide: ``python -m freelane.settings.documentation`` writes them anew."""

from __future__ import annotations

from pathlib import Path

from freelane.settings.option import GROUPS
from freelane.settings.table import defaults, flag, kinds, options

BEGIN, END = "<!-- made by freelane.settings.documentation -->", "<!-- end -->"


def default_of(name: str) -> str:
    value = defaults()[name]
    if value is None or value == "" or value == []:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else f"`{value}`"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def uvicorn_table() -> str:
    """Every option of uvicorn's, and what becomes of it."""
    rows = ["| uvicorn | here | |", "| --- | --- | --- |"]
    for name, known in options().items():
        if known.uvicorn is None:
            continue
        if known.inert and not known.heeded:
            how = "accepted"
        else:
            how = "mapped" if known.uvicorn else "the same"
        rows.append(f"| `{flag(name)}` | {how} | {cell(known.uvicorn)} |")
    return "\n".join(rows)


def options_table() -> str:
    """Every option, by group."""
    parts = []
    for group, title in GROUPS.items():
        rows = [f"### {title}", "", "| option | default | |", "| --- | --- | --- |"]
        for name, known in options().items():
            if known.group == group:
                choices = f" ({', '.join(known.choices)})" if known.choices and kinds()[name] is str else ""
                rows.append(f"| `{flag(name)}` | {default_of(name)} | {cell(known.help + choices)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


TABLES = {"uvicorn.md": uvicorn_table, "options.md": options_table}


def renewed(name: str, text: str) -> str:
    """The text of a page with its table made anew."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{TABLES[name]()}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    guide = Path(__file__).resolve().parents[2] / "migration_guide"
    for name in TABLES:
        page = guide / name
        page.write_text(renewed(name, page.read_text()))


if __name__ == "__main__":
    main()
