"""What runs a model elsewhere: C++ programs, AOTInductor, ExecuTorch, a zoo of models."""
