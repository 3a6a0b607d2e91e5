"""Evenkeel: incident command for teams that deploy with git push."""

__version__ = "0.1.0"
