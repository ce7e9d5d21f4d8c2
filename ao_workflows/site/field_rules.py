"""Rules that settings of several sections have in common.

What belongs here: the base of every section, and the types of settings that more than one module of sections needs.
What does not: the sections themselves (``ao_workflows.site.sections``, ``ao_workflows.site.deep_copy``).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Environment = Literal["demo", "dev", "prod"]

IntakeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]

_HOST = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(/\S*)?")


def _names_a_host(url: str) -> str:
    try:
        named = _HOST.fullmatch(url) and urlsplit(url).port != 0
    except ValueError:
        named = False
    if not named:
        raise ValueError("must name a host, of letters, digits, '-' and '.': 'http://127.0.0.1:9000'")
    return url


EndpointUrl = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_names_a_host)]


class Section(BaseModel):
    """A section of site.toml: it has no other settings than these, and none of them changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
