"""What the suites share: a broker, scripted and real processes, an origin, and ways to wait."""
