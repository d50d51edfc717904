"""Between spikes and behavior, both ways: what a model that translates has to beat, and how each is scored.

features.py     behaviors as the inputs of a regression
encoders.py     spikes from behaviors: PSTHs, linear, ridge and reduced-rank regression
trace_lines.py  a trace as a linear function of spikes
decoders.py     behaviors from spikes: the same regressions
scores.py       scores of any translation, a model's or a baseline's, from the predictions alone
"""
