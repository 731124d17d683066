"""Conversations: chat templates, and the token ids of messages."""
