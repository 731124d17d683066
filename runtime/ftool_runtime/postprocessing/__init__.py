"""Graph outputs to answers: labels, spans and entities."""
