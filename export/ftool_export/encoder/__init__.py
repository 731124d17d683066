"""What every encoder's task shares: its limits, its rows of tokens and its outputs."""
