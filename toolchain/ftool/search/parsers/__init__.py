"""Documents to text: Markdown, HTML, JSON lines and text encodings."""
