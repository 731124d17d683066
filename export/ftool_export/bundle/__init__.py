"""Writing a bundle: its files, its model card, and the replacement of an existing bundle in one step."""
