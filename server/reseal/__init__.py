"""Stored secrets, encrypted anew with the SECRET_KEY of today."""
