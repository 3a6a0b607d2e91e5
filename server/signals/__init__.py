"""Signals: what other systems say is in trouble, and what may be concluded from what they say."""
