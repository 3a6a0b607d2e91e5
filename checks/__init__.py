"""Self-checks: one file a check. `python -m checks` runs them; checks/schedule.py runs them in the service."""
