"""`python -m fastffdi` is the command `fastffdi`."""

from fastffdi.cli.main import program

if __name__ == "__main__":
    program()
