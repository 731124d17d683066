"""The command line, `python -m ftool_runtime`: predict, chat, verify, bench, info and ask."""
