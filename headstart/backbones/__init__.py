"""Pretrained networks: catalogue, cards, hub, opened networks, and their division into blocks."""
