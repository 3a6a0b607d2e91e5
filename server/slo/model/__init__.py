"""The maths of objectives: counts, budget, burn, tiers, the sequential test. Pure."""
