"""Index documents: find, parse and split them into passages, embed these, and write a knowledge base."""
