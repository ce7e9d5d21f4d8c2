"""The deployment, for every test of this folder."""

from __future__ import annotations

from ao_workflows_tests.stack.deployment import deployment, images

__all__ = ["deployment", "images"]
