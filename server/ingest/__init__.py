"""Bytes to outcomes to one durable transaction."""
