"""`python -m ftool`, the same as `ftool`."""

from ftool.cli import main

if __name__ == "__main__":
    main(prog_name="ftool")
