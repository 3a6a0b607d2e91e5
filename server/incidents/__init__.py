"""Incidents: from a suspicion to the report, with the people who lead them."""
