"""The tools to take home: they need torch and nothing else (onnx and matplotlib when asked for)."""
