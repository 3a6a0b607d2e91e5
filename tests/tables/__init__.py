"""Tests of the tables and their codec."""
