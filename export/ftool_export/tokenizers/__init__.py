"""Tokenizers as checkpoints store them, compared with the files they were made from."""
