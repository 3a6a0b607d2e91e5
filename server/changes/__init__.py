"""Everything that altered production."""
