"""Row readers, which turn the rows of tables into examples. There is one reader for each kind of example."""
