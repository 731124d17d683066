"""Models and tokenizers from random weights."""
