"""Token-by-token generation: settings, greedy search, beam search, sampling and detokenization."""
