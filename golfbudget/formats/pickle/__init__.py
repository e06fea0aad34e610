"""Pickles, read as data and never loaded: opcodes to values, values to tensors, arrays of numpy among them."""
