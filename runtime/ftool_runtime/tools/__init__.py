"""The command line: predict, chat, verify, bench, info and ask."""
