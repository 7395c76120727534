"""The key of the pseudonyms, and whose one is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from crmkit.exceptions import ConfigError
from crmkit.ingest.pseudonyms import FILE, Pseudonyms
from crmkit.pipeline.config import Config, read_config
from crmkit.transactions.erasure import Tombstones

__all__ = ["key_in", "names_of", "pseudonyms_of", "reveal", "stated_pseudonyms"]


def pseudonyms_of(config: Config, home: Path, forgotten: Tombstones) -> Pseudonyms | None:
    """What customers are called in a run; None where they keep their ids.

    Raises
    ------
    ConfigError
        There is no key, it is not the one that was used before, or what is there was made in the other way.
    """
    privacy, folder = config.privacy, home / config.privacy.folder
    if not privacy.pseudonyms:
        if (folder / FILE).exists():
            raise ConfigError(
                f"[privacy] pseudonyms is not stated, and {folder / FILE} shows that customers had pseudonyms here: each would be a "
                "new one. State pseudonyms = true, or remove that table, the store and the runs."
            )
        return None
    store = None if (folder / FILE).exists() else config.store.store(home)
    if store and not store.is_empty:
        raise ConfigError(
            f"{store.place} was loaded without pseudonyms, and holds ids. Give [store] another folder, and load the deliveries into it."
        )
    return Pseudonyms(_key(config, home), folder, forgotten)


def _key(config: Config, home: Path) -> bytes:
    privacy = config.privacy
    if privacy.key_file is not None:
        return key_in(home / privacy.key_file, config, home)
    key = os.environ.get(privacy.key_env, "").encode()
    if not key:
        raise ConfigError(
            f"[privacy] pseudonyms: the environment has no {privacy.key_env}. Set it to 16 bytes or more, or name a key_file."
        )
    return key


def key_in(file: Path, config: Config, home: Path) -> bytes:
    """The key in a file, which lies beside none of the data and is closed to others."""
    try:
        mode, key = file.stat().st_mode, file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"The key {file} cannot be read: {error.strerror}.") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"Others may read the key {file}. Close it to them: chmod 600.")
    data = [home / one for one in (config.privacy.folder, config.store.folder) if one]
    if any(file.resolve().is_relative_to(one.resolve()) for one in data):
        raise ConfigError(f"The key {file} lies with the data that it protects. Put it elsewhere.")
    return key


def stated_pseudonyms(config: Path) -> tuple[Config, Path, Pseudonyms]:
    """The configuration, its folder, and the pseudonyms that it states."""
    settings, home = read_config(config), config.resolve().parent
    known = pseudonyms_of(settings, home, Tombstones.read(home / settings.privacy.folder))
    if known is None:
        raise ConfigError(
            "There are no pseudonyms: customers are called by their ids. State [privacy] pseudonyms = true."
        )
    return settings, home, known


def reveal(pseudonyms: Iterable[str], config: Path) -> dict[str, str]:
    """Whose pseudonyms these are: pseudonym → id, of those that are known."""
    return stated_pseudonyms(config)[2].ids_of(one.strip().lower() for one in pseudonyms)


def names_of(ids: Iterable[str], config: Config, known: Pseudonyms | None) -> list[str]:
    """What customers may be called in stores and outputs: their ids as they are read, and their pseudonyms."""
    read = {one.strip() for one in ids} - {""}
    if config.transactions.line_options().get("ids") == "casefold":
        read |= {one.lower() for one in read}
    return sorted(read | ({known.of(one) for one in read} if known else set()))
