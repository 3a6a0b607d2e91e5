"""The policy file: reading, checking, storing and following OpenSLO and its error-budget policy."""
