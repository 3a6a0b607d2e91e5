"""Outcomes and log lines over the workers of a Citus cluster."""
