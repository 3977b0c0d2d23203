"""Prediction without torch: the API, ONNX, bulk prediction, the HTTP server."""
