"""The pages of Setup: checks, keys, people, targets."""
