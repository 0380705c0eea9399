"""The command line: verbs, flags made from the options, progress, terminal summaries."""
