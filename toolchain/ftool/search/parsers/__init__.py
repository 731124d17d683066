"""Parsers that extract text from files: Markdown, HTML, JSON lines, and formats that are not text, such as PDF."""
