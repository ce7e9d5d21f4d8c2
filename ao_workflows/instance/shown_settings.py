"""What Dagster's web page shows of dagster.yaml, to everyone who may look at the page.

What belongs here: that choice. What does not: the settings themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

SHOWN = frozenset(
    {
        "auto_materialize",
        "backfills",
        "code_servers",
        "concurrency",
        "freshness",
        "nux",
        "retention",
        "run_coordinator",
        "run_monitoring",
        "run_retries",
        "schedules",
        "sensors",
        "telemetry",
    }
)
"""The sections that are shown as they are: all that can be set in them are numbers, switches and names."""


def shown_settings(info: Mapping[str, object]) -> dict[str, object]:
    """Returns what is shown: of a section that is not in ``SHOWN``, the name of its class alone.

    No password should be in dagster.yaml: an address names the file that has it. But people edit dagster.yaml, and
    Dagster would show the storage's address, or what a run's container is given, as it stands there.

    :param info: what Dagster would show: its own ``DagsterInstance.info_dict``.
    """
    return {name: section if name in SHOWN else _class_of(section) for name, section in info.items()}


def _class_of(section: object) -> object:
    if isinstance(section, Mapping):
        return section.get("class", "not shown")
    # Dagster gives the name of a class where dagster.yaml says nothing
    return section if isinstance(section, str) and section.isidentifier() else "not shown"
