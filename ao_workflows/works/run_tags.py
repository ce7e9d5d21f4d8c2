"""Run tags: the tags that Dagster writes on a run, which say whose work it is for and what becomes of it.

What belongs here: their names, as the web page shows them and dagster.yaml gives them. What does not: the tags that
the platform gives runs itself (``ao/…``). They are data, and stand in every site's database; Dagster's constants for
them are private, so ``test_dagster_contracts`` holds each of these against its own.
"""

from __future__ import annotations

PARTITION = "dagster/partition"
"""The work that the run restores, by its RID."""

RUN_KEY = "dagster/run_key"
"""What the run was requested for: Dagster makes no second one for it."""

FAILURE_REASON = "dagster/failure_reason"
"""Why a run failed, as one of Dagster's few reasons."""

WILL_RETRY = "dagster/will_retry"
"""``true`` where Dagster is going to run a failed run again, ``false`` where it is not."""

RETRIED_AS = "dagster/auto_retry_run_id"
"""The run by which Dagster has run a failed one again."""

CELERY_TASK = "dagster-celery/task_id"
"""The task as which the run was sent to the workers. A retry takes it over."""
