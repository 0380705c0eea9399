"""The command line: verbs, flags made from the options, progress, terminal summaries."""


def main() -> None:
    """The command `headstart`."""
    from headstart.cli.app import main

    main()
