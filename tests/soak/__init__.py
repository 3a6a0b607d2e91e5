"""Minutes of real load and real faults: `make soak`."""
