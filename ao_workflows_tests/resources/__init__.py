"""Tests of the clients, each against the real service or its nearest stand-in."""
