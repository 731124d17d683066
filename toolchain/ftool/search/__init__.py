"""Index documents: find and parse files, split the texts into passages, embed these, and write a knowledge base."""
