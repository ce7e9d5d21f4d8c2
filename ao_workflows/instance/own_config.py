"""What a run in the storage may be configured with: what its stages are told, and none of the site's settings.

What belongs here: finding what a run is configured with besides, and refusing a run. What does not: what else a run may
not bring (``own_code``), and what a stage makes of what it is told.

Dagster lets each run give every resource other settings, such as another scratch disk or another S3, and lets any value
be taken from the environment of the run's process. Whoever could write a run would have the site's credentials used at
a server of his own, and a variable's value shown on the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ao_workflows.errors import RunRefused
from ao_workflows.shown_names import shown

_NAMED_AT_MOST = 10
_LETTERS_AT_MOST = 200


def refuse_brought(run_id: str, brought: Iterable[str]) -> None:
    """Refuses a run that brings anything.

    :param brought: what it brings, which is told by its names, shortly.
    :raises RunRefused: if it brings anything; the error names each, without its value.
    """
    if brings := [shown(each[:_LETTERS_AT_MOST]) for each in brought]:
        more = len(brings) - _NAMED_AT_MOST
        raise RunRefused(
            shown(run_id[:_LETTERS_AT_MOST]), [*brings[:_NAMED_AT_MOST], *([f"{more} more"] if more > 0 else [])]
        )


def brought_settings(run_config: object) -> Iterator[str]:
    """Yields the names of what a run is configured with and may not be: all but plain values of its stages."""
    for part, stages in _parts(run_config):
        if part != "ops":
            yield from (f"configuration of {part}{f'.{name}' if name else ''}" for name, _ in _parts(stages))
            continue
        for stage, told in _parts(stages):
            for kind, values in _parts(told):
                if kind != "config":
                    yield f"configuration of ops.{stage}.{kind}"
                else:
                    of_stage = f"value of ops.{stage}.config"
                    yield from (
                        f"{of_stage}{f'.{name}' if name else ''}" for name, it in _parts(values) if not _plain(it)
                    )


def _parts(of: object) -> list[tuple[str, object]]:
    """What is in a mapping, by its names; what is no mapping, but should be, is one part without a name."""
    if isinstance(of, Mapping):
        return [(str(name), part) for name, part in of.items()]
    return [] if of is None else [("", of)]


def _plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(each) for each in value)
    return not isinstance(value, Mapping)
