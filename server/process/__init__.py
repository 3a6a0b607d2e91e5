"""How Evenkeel runs: serve, supervisor, embedded database, migrations, the lease and the watch, readiness."""
