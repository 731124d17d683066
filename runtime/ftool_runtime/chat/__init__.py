"""Conversations: chat templates and their token ids."""
