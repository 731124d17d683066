"""Parsers that turn documents into text: Markdown, HTML, JSON lines and text encodings."""
