"""`python -m headstart.cli`."""

from headstart.cli.app import main

main()
