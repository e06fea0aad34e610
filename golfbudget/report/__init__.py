"""Reports: pure functions from results to JSON values or tables."""
