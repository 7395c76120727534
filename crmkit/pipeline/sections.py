"""A guess as a section of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crmkit.ingest.column_inference import Guess


def toml_text(text: str) -> str:
    """Text as TOML writes it."""
    import json

    return json.dumps(text, ensure_ascii=False)


def toml_value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml_key(str(key))} = {toml_value(given)}" for key, given in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return str(value) if isinstance(value, int) else toml_text(str(value))


def _toml_key(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else toml_text(name)


def toml_list(files: Sequence[str]) -> str:
    return "[\n" + "".join(f"    {toml_text(file)},\n" for file in files) + "]"


def section_of(guess: Guess, files: str | Sequence[str]) -> str:
    """A section of the configuration, its guesses marked to be confirmed."""
    listed = [files] if isinstance(files, str) else list(files)
    lines = [f"[{guess.table}]", f"files = {toml_text(listed[0]) if len(listed) == 1 else toml_list(listed)}"]
    lines += [f"{name} = {toml_value(value)}{_doubt(guess, name)}" for name, value in guess.settings.items()]
    if guess.missing:
        lines.append(f"# missing: {', '.join(guess.missing)}; name the columns below")
    lines += ["", f"[{guess.table}.columns]  # confirm: contract column = column of the files"]
    lines += [f"{name} = {toml_value(given)}{_doubt(guess, name)}" for name, given in guess.columns.items()]
    return "\n".join(lines) + "\n"


def _doubt(guess: Guess, name: str) -> str:
    return f"  # confirm: {guess.doubts[name]}" if name in guess.doubts else ""
