"""Writing a bundle: its files, its model card, the swap into place."""
