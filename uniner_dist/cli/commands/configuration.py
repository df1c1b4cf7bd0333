"""The configuration itself: what holds after all files, variables and options, whether it is right, and its schema."""

from __future__ import annotations

import typer
import yaml

from uniner_dist.cli.command import Group
from uniner_dist.cli.examples import GROUPS
from uniner_dist.cli.options import ConfigFiles, Set
from uniner_dist.cli.root import app, say
from uniner_dist.config.loading import load_config, load_sections
from uniner_dist.config.schema import Config
from uniner_dist.config.secrets import without_secrets
from uniner_dist.core.characters import visible
from uniner_dist.storage.filesystem import json_text

configuration = typer.Typer(cls=Group, no_args_is_help=True, help="Show, check and describe the configuration.")
app.add_typer(configuration, name="config", rich_help_panel=GROUPS[-1])


@configuration.command()
def show(config: ConfigFiles = None, overrides: Set = None) -> None:
    """Print every option as it holds after all files, variables of the environment and overrides, as YAML.

    Secrets are shown as `…`.
    """
    tree = without_secrets(load_sections(config, overrides or ()).model_dump(mode="json"))
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    # What a terminal would obey is escaped, which YAML itself does for some of it only.
    harmless = visible(text, keep="\n") == text
    print(text if harmless else yaml.safe_dump(tree, sort_keys=False), end="")


@configuration.command()
def check(config: ConfigFiles = None, overrides: Set = None) -> None:
    """Say whether a whole job can be read from files, variables and overrides; exit code 2 where not."""
    load_config(config, overrides or ())
    say("the configuration is complete")


@configuration.command()
def schema() -> None:
    """Print the JSON schema of configuration files, by which editors complete and check them."""
    print(json_text(file_schema()))


def file_schema() -> dict[str, object]:
    """JSON schema of one file: any part of the tree, since the rest may be in another file or on the command line."""
    whole = Config.model_json_schema()
    for part in (whole, *whole.get("$defs", {}).values()):
        part.pop("required", None)
    whole["properties"]["types"] = {
        "description": whole["properties"]["types"].get("description", ""),
        "anyOf": [{"type": "string"}, {"type": "array"}, {"type": "object"}],
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}
