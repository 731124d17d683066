"""Token-by-token generation: its settings, search, sampling and text."""
