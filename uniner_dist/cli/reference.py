"""Generates the reference pages of the documentation from the declared commands, options and configuration.

`python -m uniner_dist.cli.reference FOLDER` writes them as Markdown; `make docs` calls it.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from uniner_dist.cli.app import app
from uniner_dist.cli.examples import EXAMPLES
from uniner_dist.config.schema import Config
from uniner_dist.runtime.engines import EXTRAS

_CLI_HEAD: Final = """# Command line

Every command with its options, as `uniner-dist COMMAND --help` shows them. A place is any path or URL.
"""
_CONFIGURATION_HEAD: Final = """# Configuration

Every option, with its default. In a file they are nested (`pool:` and below it `replicas: 4`); on the command line,
`--set pool.replicas=4`; as a variable of the environment, `UNINER_DIST_POOL__REPLICAS=4`. Of several the
later wins: files in their order, the environment, `--set`, options such as `--corpus`.
"""
_EXTRAS_HEAD: Final = """# Extras

`pip install uniner-dist` alone reads formats, evaluates and erases. What else a machine needs are extras.

| package | what for | extra |
|---|---|---|
"""


def write_reference(folder: Path) -> list[Path]:
    """Write the reference pages into a folder; returns them."""
    pages = {
        "commands.md": "\n".join([_CLI_HEAD, *_commands()]),
        "configuration.md": "\n".join([_CONFIGURATION_HEAD, *_sections(Config)]),
        "extras.md": _EXTRAS_HEAD + "\n".join(_extras()) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in pages]


def _commands() -> Iterator[str]:
    root: Any = typer.main.get_command(app)
    for name, command in sorted(root.commands.items()):
        if getattr(command, "commands", None):
            for below, member in sorted(command.commands.items()):
                yield from _command(f"{name} {below}", member)
        else:
            yield from _command(name, command)


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"\n## {name}\n\n{command.help}\n"
    if command.params:
        yield "| option | | default |\n|---|---|---|"
    for option in command.params:
        if option.name == "help":
            continue
        spelled = ", ".join(f"`{word}`" for word in [*option.opts, *option.secondary_opts])
        default = (
            "required" if option.required else "" if option.default in (None, (), False) else f"`{option.default}`"
        )
        yield f"| {spelled} | {_cell(option.help or '')} | {default} |"
    for purpose, line in EXAMPLES.get(name, ("", []))[1]:
        yield f"\n{purpose}:\n\n```bash\n{line}\n```"


def _sections(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    own = {name: field for name, field in model.model_fields.items() if _section(field) is None}
    if own:
        yield f"\n## {prefix.rstrip('.') or 'top level'}\n\n{(model.__doc__ or '').strip().splitlines()[0]}\n"
        yield "| option | | default |\n|---|---|---|"
    for name, field in own.items():
        yield f"| `{prefix}{name}` | {_cell(field.description or '')} | {_default(field)} |"
    for name, field in model.model_fields.items():
        below = _section(field)
        if below is not None:
            yield from _sections(below, f"{prefix}{name}.")


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kinds = [field.annotation, *get_args(field.annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "" if value in (None, (), {}, PydanticUndefined) else f"`{value}`"


def _extras() -> Iterator[str]:
    for package, (purpose, extra) in EXTRAS.items():
        spelled = " or ".join(f"`uniner-dist[{name}]`" for name in extra.split("] or ["))
        yield f"| `{package}` | {purpose} | {spelled} |"


def _cell(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    write_reference(Path(sys.argv[1]))
