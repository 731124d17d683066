"""Parsers that extract text from files: for Markdown, HTML and JSON lines, and for text encodings."""
