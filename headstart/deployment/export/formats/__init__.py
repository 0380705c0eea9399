"""One file an export format: ONNX, OpenVINO, torch, timm, transformers, PEFT, numpy, web page."""
