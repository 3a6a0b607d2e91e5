"""Incidents: the list, and the room of one."""
