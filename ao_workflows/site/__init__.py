"""The site: one deployment, described by one ``site.toml``.

What belongs here: the sections and their defaults, reading and checking the file, overrides, environments, the demo's
site. What does not: the clients that are made from it (``ao_workflows.clients``).
"""
