"""Environments: what a site must leave alone because it belongs to another environment.

What belongs here: the one rule, for the sensors, the commands and the checks alike. What does not: reading a queue's
tags (``ao_workflows.intake.sqs``).
"""

from __future__ import annotations

from collections.abc import Mapping

from ao_workflows.errors import WrongEnvironment


def refuse_other_environment(intake: str, belongs_to: str | None, site: str) -> None:
    """Keeps a site from using an intake of another environment: production's messages are for production alone.

    :param belongs_to: the environment that the intake, or its queue's tag, names; None if it names none.
    :param site: the site's environment.
    :raises WrongEnvironment: if exactly one of the two is production.
    """
    if belongs_to is not None and (belongs_to == "prod") != (site == "prod"):
        raise WrongEnvironment(intake, belongs_to, site)


def tagged_environment(tags: Mapping[str, str]) -> str | None:
    """Returns the environment that a queue's tags name, or None if they name none; ``Environment = Production`` means
    ``prod``.
    """
    for name, value in tags.items():
        if name.strip().lower() == "environment":
            environment = value.strip().lower()
            return "prod" if environment == "production" else environment
    return None
