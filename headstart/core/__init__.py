"""Nouns that every package shares: task, backbone card, features, plan, result, options, errors, the journal."""
