"""`ftool export --precision auto`: build every candidate, prove and time it, and keep the cheapest that is accurate."""
