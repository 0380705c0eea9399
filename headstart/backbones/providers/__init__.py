"""One file a library that backbones come from: timm, transformers, CLIP, our own, no network."""
