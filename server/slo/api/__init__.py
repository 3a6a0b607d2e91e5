"""HTTP of objectives and exclusions."""
