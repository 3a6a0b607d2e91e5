"""Maintenance windows: time set ahead, out of the budget, silenced, announced and marked on every chart."""
