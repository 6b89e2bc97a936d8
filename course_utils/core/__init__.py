"""Used by every room: limits, errors, the status line. Torch and the standard library; psutil where it is installed."""
