"""Models with random weights, and tokenizers learnt from the data."""
