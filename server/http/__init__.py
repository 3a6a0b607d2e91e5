"""What every API handler shares: handlers, operations, routes, the OpenAPI document, refused bodies."""
