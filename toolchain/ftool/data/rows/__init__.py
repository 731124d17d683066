"""Table rows to examples, one reader for each kind of example."""
