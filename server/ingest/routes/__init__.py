"""Learns route templates from paths, and takes the patterns that people set."""
