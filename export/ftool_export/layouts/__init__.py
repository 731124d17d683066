"""Files and graphs for other libraries: `--layout standard`, and what every bundle says to transformers.js."""
