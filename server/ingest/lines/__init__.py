"""Takes log lines, masks their secrets and finds them again."""
