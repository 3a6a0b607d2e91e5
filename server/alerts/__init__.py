"""Alerts: one for each objective that burns, from detection to resolution."""
