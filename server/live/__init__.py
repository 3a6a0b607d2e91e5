"""The live picture: sketches, windows, rollups, and questions about them."""
