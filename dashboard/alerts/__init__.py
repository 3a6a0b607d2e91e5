"""The pages of alerts and silences."""
