"""The section of the configuration that names a store, here or elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from crmkit.exceptions import ConfigError
from crmkit.ingest.databases import is_url, secrets_of
from crmkit.pipeline.environment import from_environment
from crmkit.pipeline.settings import Number, Section

if TYPE_CHECKING:
    from crmkit.transactions.delivery_folder import Incoming
    from crmkit.transactions.store import Store

__all__ = ["StoreFolder"]

_SECRET = re.compile("key|secret|token|passw|sas|credential", re.IGNORECASE)


class StoreFolder(Section):
    """A `Store` that deliveries are loaded into: a night then reads the files that are new, and nothing else.

    ``done``, ``checksum``, ``quiet_seconds`` and ``corrections`` are those of `Incoming`; ``wait`` is how many seconds
    a load waits for another one. ``folder`` may be an address, as ``s3://bucket/prefix``, with ``options`` for its storage, whose
    secrets are taken from the environment as ``${NAME}``, and ``copies``, the folder where its files are copied to.
    """

    folder: str | None = None
    options: dict[str, str] = Field(default_factory=dict, repr=False)
    copies: str = "store-copies"
    done: str | None = Field(None, min_length=1)
    checksum: str | None = Field(None, min_length=1)
    quiet_seconds: Number = Field(0, ge=0)
    corrections: list[str] = Field(default_factory=list)
    wait: Number = Field(600, ge=0)

    @field_validator("options")
    @classmethod
    def _without_secrets(cls, options: dict[str, str]) -> dict[str, str]:
        stated = [name for name, value in options.items() if "${" not in value and _is_secret(name, value)]
        if stated:
            raise ConfigError(f"the file contains secrets: {stated}. Write ${{NAME}} and set NAME in the environment.")
        return options

    @property
    def incoming(self) -> Incoming:
        """How to tell that a delivered file is complete."""
        from crmkit.transactions.delivery_folder import Incoming

        return Incoming(self.done, self.checksum, self.quiet_seconds, self.corrections)

    def store(self, home: Path) -> Store | None:
        """The store; ``home`` is where the configuration's paths start."""
        from crmkit.transactions.remote import is_address
        from crmkit.transactions.store import Store

        if self.folder is None:
            return None
        if not is_address(self.folder) and not self.options:
            return Store(self.folder if "://" in self.folder else home / self.folder, wait=self.wait)
        options = {name: from_environment(value, "[store.options]") for name, value in self.options.items()}
        return Store(self.folder, wait=self.wait, options=options, copies=home / self.copies)


def _is_secret(name: str, value: str) -> bool:
    return bool(_SECRET.search(name)) or (is_url(value) and bool(secrets_of(value)))
