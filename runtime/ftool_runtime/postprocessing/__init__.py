"""Convert a graph's outputs to answers: labels, spans and entities."""
