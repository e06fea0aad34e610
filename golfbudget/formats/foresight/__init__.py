"""Where a container's boundaries will be, foreseen while it is still coming out of its codec."""
