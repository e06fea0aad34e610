"""Zstandard (RFC 8878): its codec, and the readers of frames, blocks and entropy codes that price it exactly."""
