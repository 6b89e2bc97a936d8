"""Used by every room: cases and values, reports, errors, limits, pictures, the status line.

Torch and the standard library; psutil where it is installed.
"""
