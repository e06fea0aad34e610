"""GGUF: its header of typed key-values and tensor records, and the block types of its tensors."""
