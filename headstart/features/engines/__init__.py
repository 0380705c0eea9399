"""One file a way to run the frozen part: torch, ONNX Runtime, OpenVINO, numpy."""
