"""Drills: real traffic with a known fault, sent to a running instance as a service of its own."""
