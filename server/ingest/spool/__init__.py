"""Keeps acknowledged batches on disk while the database cannot, and hands them in afterwards."""
