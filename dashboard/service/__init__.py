"""The page of a service, with Ship?."""
