"""Review: what a month came to, for each service."""
