"""Models: counts and a mask in, log rates out."""
