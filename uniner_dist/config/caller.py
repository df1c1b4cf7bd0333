"""Options of a run's configuration that only the caller may decide: where things run, and which code they load.

A pinned configuration is read back from shared storage, where others may write. Cluster addresses, properties of Spark,
remote code of a model, further arguments of the engine and a store elsewhere are therefore taken from the command that
is given now; a pinned value that differs is refused, or taken when the caller says so explicitly (`--trust-workdir`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from uniner_dist.config.loading import load_sections, validate_tree
from uniner_dist.config.schema import Config
from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError

#: The options of a configuration that are the caller's: (section, key), or a whole section.
RAY: Final = ("ray", None)
SPARK: Final = ("spark", None)
REMOTE_CODE: Final = ("model", "trust_remote_code")
ENGINE: Final = ("engine", "extra")
#: A store in the workdir, which is no link, need not be named by the caller (see `run.load_run`).
STORE: Final = ("store", None)
_REPLACED: Final = (RAY, SPARK, REMOTE_CODE, ENGINE)
OWNED: Final = (*_REPLACED, STORE)

Owned = tuple[str, str | None]


@dataclass(frozen=True)
class Caller:
    """Options of the caller of a command.

    Attributes:
        config: the caller's configuration, of which only the options in `OWNED` count.
        stores: paths or URLs of the stores that the caller has named.
        trusts_workdir: whether the values of those options in the run's folder are taken as they are.
    """

    config: Config
    stores: frozenset[str] = frozenset()
    trusts_workdir: bool = False

    @classmethod
    def of(
        cls,
        config: Sequence[str] = (),
        overrides: Sequence[str] = (),
        stores: Collection[str] = (),
        trusts_workdir: bool = False,
    ) -> Caller:
        """Return the caller that a command's configuration files, overrides and options describe.

        Args:
            config: paths or URLs of YAML files, as for `load_sections`.
            overrides: such as `"ray.address=auto"`.
            stores: paths or URLs of stores named by an option; one that the configuration names is added.
            trusts_workdir: whether the run's folder may decide the options in `OWNED`.

        Raises:
            ConfigError: with every problem found in the configuration.
        """
        own = load_sections(config, overrides)
        named = (*stores, *((own.store,) if own.store else ()))
        return cls(own, frozenset(named), trusts_workdir)


def settled(
    pinned: Config, caller: Caller | None, uses: Collection[Owned], stores: Collection[str], where: str
) -> Config:
    """Return the pinned configuration with the caller's own options in place of what is stored.

    Args:
        pinned: the configuration that is stored in the run's folder.
        caller: None for a command that starts nothing; then the options are those of the environment and the defaults.
            One that trusts the workdir gets `pinned` as it is.
        uses: those of `OWNED` that the command acts on: their pinned values must not differ from the caller's.
        stores: paths of the stores that are accepted, absolute: those that the caller has named, and the workdir's own.
        where: the file that the configuration comes from, for messages.

    Raises:
        ConfigError: the file differs from the caller's options; with every difference.
    """
    if caller is None:
        return _with(pinned, Caller.of().config)
    if caller.trusts_workdir:
        return pinned
    problems = [
        f"{where}: {key} is not what this command says; give the same by --config or --set, or take whatever the run's "
        "folder says by --trust-workdir"
        for option in _REPLACED
        if option in uses
        for key in _differences(_value(pinned, option), _value(caller.config, option), ".".join(filter(None, option)))
    ]
    problems += _store_problem(pinned, stores, where) if STORE in uses else []
    if problems:
        raise ConfigError(problems)
    return _with(pinned, caller.config)


def _store_problem(pinned: Config, stores: Collection[str], where: str) -> list[str]:
    store = pinned.store_path
    if store in stores:
        return []
    return [
        f"{where}: its store {visible(store)} is outside of the workdir; name it by --store, or by --config as the run "
        "was begun"
    ]


def _with(pinned: Config, own: Config) -> Config:
    tree = pinned.model_dump()
    for section, key in _REPLACED:
        ours = own.model_dump()[section]
        tree[section] = ours if key is None else tree[section] | {key: ours[key]}
    return validate_tree(tree)


def _value(config: Config, option: Owned) -> Any:
    section, key = option
    tree = config.model_dump()[section]
    return tree if key is None else tree[key]


def _differences(one: Any, other: Any, key: str) -> list[str]:
    """Dotted keys whose values differ; the values are left out, as they may be secret."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = dict.fromkeys([*one, *other])
        return [found for name in names for found in _differences(one.get(name), other.get(name), f"{key}.{name}")]
    return [] if one == other else [visible(key)[:200]]
