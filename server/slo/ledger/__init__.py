"""The exact integer ledger: folding, recounting, exclusions, history."""
