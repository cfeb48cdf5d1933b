"""Networks and what runs them: OpenVINO, ONNX Runtime and TensorRT sessions, the cards of the weights, one process that serves many workers."""
