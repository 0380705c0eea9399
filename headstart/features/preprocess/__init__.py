"""One file a kind of input: what the weights expect of images, texts, vectors."""
