"""In which order changed hosts are touched: the table [rollout]."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from inventory.base import Facts


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


_SHARE = re.compile(r"([1-9][0-9]?|100) ?%")


def _batch(value: object) -> object:
    """A number of hosts, or a share of them."""
    if isinstance(value, str) and _SHARE.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError('is neither a number of hosts, 1 at least, nor a share of them; write batch = 2, or batch = "25%"')


class Rollout(Facts):
    """In which order changed hosts of one deployment are touched, beyond what they depend on."""

    strategy: Literal["all", "canary", "batches", "waves"] = "all"
    canary: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = Field(
        default=(),
        description="Host, or hosts, that go first: of their kind with strategy = canary, of all kinds with waves.",
    )
    batch: Annotated[int | str, BeforeValidator(_batch)] = Field(
        default=1, description="Hosts at a time, or a share of them like 25%, with strategy = batches, or waves after the canary."
    )
    soak: int = Field(
        default=0,
        ge=0,
        le=604800,
        description="Seconds for which the canaries' health has to hold before others change, with strategy = waves.",
    )

    def at_a_time(self, hosts: int) -> int:
        """How many of so many HOSTS are touched at a time."""
        if isinstance(self.batch, int):
            return self.batch
        return max(1, -(-hosts * int(self.batch.rstrip("% ")) // 100))
