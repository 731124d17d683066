"""Index documents: find and parse files, split texts into passages, embed the passages, write a knowledge base."""
