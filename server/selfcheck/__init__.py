"""What the self-checks found: types, store, HTTP."""
