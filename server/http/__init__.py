"""What every API handler shares: access, operations, routes, the OpenAPI document, refused bodies."""
