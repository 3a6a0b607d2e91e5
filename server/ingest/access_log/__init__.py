"""Counts access logs: read once by `import`, or followed as they grow."""
