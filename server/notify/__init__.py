"""Where alerts go: targets, the outbox, and sending."""
