"""Texts as input: token ids, windows, words, and files of texts."""
