"""The sensors: what starts runs, and what finds runs that are lost.

What belongs here: queues, folders, what those two have in common (``intakes``), lost runs. What does not: the decisions
(``intake``).
"""
