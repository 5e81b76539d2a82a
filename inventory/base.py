"""What every model of the inventory is."""

from pydantic import BaseModel, ConfigDict


class Facts(BaseModel):
    """Base of every inventory model: immutable, and a field that is not declared is an error.

    What checks a model is made when it is first used: for most, with the one that holds them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
