"""The pages of objectives, exclusions and backtests."""
