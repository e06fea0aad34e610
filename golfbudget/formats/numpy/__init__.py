"""numpy's files: `.npy`, one array, and `.npz`, a zip archive of arrays."""
