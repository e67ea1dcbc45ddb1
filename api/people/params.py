"""Parameters of the people's routes."""

from typing import Literal

from pydantic import BaseModel, Field

from api.params import By, Name, Query

# An address as people log in with it: one @, no space, nothing that a list or a header would take for something else.
EMAIL_PATTERN = r"^[^\s@<>,;:\"'\\\x00-\x1f\x7f]{1,64}@[^\s@<>,;:\"'\\\x00-\x1f\x7f]{1,130}$"
_ROLE = "viewer: sees; technician: tends alerts too; analyst: takes reports too; admin: everything"
RoleName = Literal["viewer", "technician", "analyst", "admin"]


class PersonPath(BaseModel):
    """/{personId}"""

    personId: int = Field(ge=1, le=2**62)


class PeopleQuery(Query):
    """Which part of the list."""

    after: int = Field(0, ge=0, le=2**62, description="The last personId of the page before")
    limit: int = Field(1000, ge=1, le=10_000)


class ByQuery(Query):
    """Who asks."""

    by: By | None = None


class PersonChangeBody(BaseModel):
    """A person, all of it anew; the address stays."""

    name: Name
    role: RoleName = Field(description=_ROLE)
    active: bool = Field(True, description="Whether they may log in")
    by: By | None = None


class PersonBody(BaseModel):
    """Somebody new."""

    email: str = Field(max_length=195, pattern=EMAIL_PATTERN, description="What they log in with")
    name: Name
    role: RoleName = Field("viewer", description=_ROLE)
    by: By | None = None
