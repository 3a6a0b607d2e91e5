"""What everything stands on: errors, names, text, times, settings, the database and the bus. Imports nothing above."""
