"""Python source: the compressed literals that a program unpacks, found without running it."""
