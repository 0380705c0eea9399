"""Networks as their library runs them, and how far two answers are apart."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")


def hub_name(name: str) -> str:
    return f"hf-hub:headstart-test/{name}"


def embedding(model, x):
    with torch.no_grad():
        return model.forward_head(model.forward_features(x), pre_logits=True)


def relative_difference(a, b) -> float:
    """Largest difference, relative to the largest value."""
    return float((a - b).abs().max() / b.abs().max())
