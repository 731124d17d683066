"""The torch networks of encoder tasks: an encoder and what follows it."""
