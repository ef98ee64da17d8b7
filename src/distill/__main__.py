"""`python -m distill` is the same program as `distill`."""

from distill.cli.app import main

if __name__ == "__main__":
    main()
