"""Look at a data set before training: sizes, lengths, labels, repeated texts, scripts and languages."""
