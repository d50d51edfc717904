"""Readers and the road from spike times to trials: everything that ends in a `Session` or a `Trials`."""
