"""Servers that end with the tests, however those end: a second Ctrl-C leaves no fixture the time to tidy up."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1


def end_with_it() -> None:
    """For a new process, before its program: it is killed when the thread that began it ends (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def tidy_up_with_it() -> None:
    """The same for a program that has begun others: it is asked to end (TERM)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
