"""`golfbudget-pack`, what `golfbudget repack` writes: its grammar and its reader."""
