"""A graph as a picture: sketch (what is shown), layout (where), svg (how)."""
