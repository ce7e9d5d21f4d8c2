"""Partitions: one dynamic partition is one work, its key the work's RID."""

from __future__ import annotations

import dagster as dg

WORKS = dg.DynamicPartitionsDefinition(name="works")
