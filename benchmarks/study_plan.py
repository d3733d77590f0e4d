"""Write the table of docs/plan.md: measured times beside what ``editsuite plan`` reckons for them.

python -m benchmarks.study_plan
"""

from __future__ import annotations

from pathlib import Path

from editsuite.files import write_text_atomically
from editsuite.planning.measured import compared

PAGE = Path(__file__).parents[1] / "docs" / "plan.md"
BEGIN, END = "<!-- plan: begin -->", "<!-- plan: end -->"


def table() -> str:
    """The table in Markdown."""
    lines = [
        "| what | threads | measured s | planned s | factor | stands in | command |",
        "| --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for one in compared():
        name = PAGE.parents[1] / one.page
        link = name.name if name.parent != PAGE.parents[1] else f"../{name.name}"
        if name.parent.name == "methods":
            link = f"methods/{name.name}"
        lines.append(
            f"| {one.name} | {one.threads} | {one.measured:g} | {one.planned:.3g} | "
            f"{one.factor:.2f} | [{name.stem}]({link}) | `{one.command}` |"
        )
    return "\n".join(lines)


def with_table(text: str) -> str:
    """A page with the table between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}"


if __name__ == "__main__":
    write_text_atomically(PAGE, with_table(PAGE.read_text(encoding="utf-8")))
