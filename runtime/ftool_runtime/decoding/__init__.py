"""Token-by-token generation: settings, greedy and beam search, sampling, detokenization."""
