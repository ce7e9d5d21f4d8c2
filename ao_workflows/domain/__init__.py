"""What the archive knows, as plain values and pure functions: events, works, bags, fixity, sync options.

Standard library and bagit only. What talks to a service belongs in ``ao_workflows.resources``; what Dagster
calls belongs in ``ao_workflows.assets`` and ``ao_workflows.sensors``.
"""
