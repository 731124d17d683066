"""Documents into a knowledge base: found, read, cut into passages, embedded and written."""
