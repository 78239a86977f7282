"""`python -m fastffdi` is the command `fastffdi`."""

from fastffdi.cli.main import main

if __name__ == "__main__":
    main()
