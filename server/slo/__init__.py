"""Objectives: policy file, ledger, budget, burn."""
