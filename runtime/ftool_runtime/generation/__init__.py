"""Answers token by token: decoding, its rules, text as it grows, chats."""
