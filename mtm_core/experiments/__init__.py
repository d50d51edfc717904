"""Experiments of many runs: what the paper reports, measured again on any recording.

results.py     every finished part in a file of its own, so that a killed experiment goes on
measure.py     the numbers of one model: bits per spike of the four tasks, behavior decoded from its rates
ablation.py    one masking scheme against all of them, with and without prompt
scaling.py     what pre-training on other animals brings, by their number of sessions
published.py   the numbers of the paper that an ablation is printed beside
"""
