"""`python -m foleycli` is `foley`."""

from foleycli.cli.app import main

if __name__ == "__main__":
    main()
