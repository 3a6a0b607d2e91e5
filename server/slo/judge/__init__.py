"""Each second: how every objective stands."""
