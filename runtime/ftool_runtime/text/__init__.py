"""Input texts: token ids, windows, words, and files of texts."""
