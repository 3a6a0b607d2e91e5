"""May this change go out now? The error-budget policy answers."""
