"""Used by every room: limits, errors, the status line. Nothing but torch and the standard library."""
