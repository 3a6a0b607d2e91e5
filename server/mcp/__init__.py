"""The Model Context Protocol: what a language model asks, answered by the same functions as the API."""
