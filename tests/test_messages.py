"""Every sentence that crmkit says, in one file that a person reads in ten minutes: ``python tests/test_messages.py``
writes ``tests/messages.txt`` anew, and a change of words is seen there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).parents[1] / "crmkit"
GOLDEN = Path(__file__).with_name("messages.txt")
NOT_SAID = re.compile(
    r"\b(select|from \{|cast\(|case when|group by|order by|over \(|varchar|double, |string, |not null)\b|case when|::|^\s*/\*|[{;]\s*$",
    re.IGNORECASE,
)


def rendered(node: ast.expr) -> str | None:
    """The text of a string, an f-string or a sum of them, with what is filled in between braces; else None."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = [
            str(part.value) if isinstance(part, ast.Constant) else "{" + ast.unparse(part).strip("f'\"{}") + "}"
            for part in node.values
        ]
        return "".join(parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = rendered(node.left), rendered(node.right)
        return "".join(side or "…" for side in sides) if any(sides) else None
    return None


def sentences(tree: ast.AST) -> Iterator[str]:
    """What is said in code, outermost texts only, docstrings and SQL left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    body = list(ast.iter_child_nodes(tree))
    if isinstance(tree, documented):
        body = [node for node in body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    for node in body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
            continue
        text = rendered(node) if isinstance(node, ast.expr) else None
        if text is None:
            yield from sentences(node)
        elif is_said(text):
            yield " ".join(text.split())


def is_said(text: str) -> bool:
    """Whether a text is meant for a person: three words at least, no SQL, no pattern, no template of the engine's."""
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\{[^{}]*\}", "", text))
    return len(words) >= 3 and " " in text.strip() and not NOT_SAID.search(text) and "\\" not in text


def spoken_in_templates(path: Path) -> Iterator[str]:
    text = re.sub(r"<style>.*?</style>|\{%.*?%\}|\{#.*?#\}", "\n", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for piece in re.split(r"<[^>]*>|\n", text):
        if is_said(piece):
            yield " ".join(piece.split())


def all_messages() -> str:
    blocks = []
    for path in sorted([*HOME.rglob("*.py"), *HOME.rglob("*.j2")]):
        said = spoken_in_templates(path) if path.suffix == ".j2" else sentences(ast.parse(path.read_text("utf-8")))
        lines = sorted(set(said))
        if lines:
            blocks.append("\n".join([path.relative_to(HOME).as_posix(), *(f"    {line}" for line in lines)]))
    return "\n\n".join(blocks) + "\n"


def test_every_message_is_the_one_that_was_read() -> None:
    assert all_messages() == GOLDEN.read_text(encoding="utf-8"), "read the change, then: python tests/test_messages.py"


def test_no_word_that_was_retired_is_said() -> None:
    retired = r"\b(nobody's|held against the past|past day|faulty|the door|strangers|delivered twice|takes no more|cannot be what was meant|what stands where|neither grew nor fell)\b"
    assert re.findall(retired, GOLDEN.read_text(encoding="utf-8"), re.IGNORECASE) == []


if __name__ == "__main__":
    GOLDEN.write_text(all_messages(), encoding="utf-8")
