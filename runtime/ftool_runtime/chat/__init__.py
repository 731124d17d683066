"""Conversations: render messages with chat templates, and convert them to token ids."""
