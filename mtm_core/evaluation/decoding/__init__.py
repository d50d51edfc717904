"""What spikes, and a model's reading of them, say about behavior; nested cross-validation, nulls that know about drift.

behaviors.py        which behaviors there are, and which trials of each are left out
features.py         where a decoder may look: counts, a model's rates or latents, one region, all but one region
row_space.py        an exact short cut for 70,000 features and 300 trials
linear_decoders.py  logistic and ridge regression in that space
nested.py           our protocol: penalties and bin widths chosen within the training trials
mtm_protocol.py     the protocol of the MtM paper
measures.py         balanced accuracy, ROC AUC, R2 and R2 beyond the trial average, with intervals
nulls.py            behavior that this brain did not produce: other sessions, drawn sessions, shifted trials
task_model.py       a mouse in the IBL task, fitted to one session, from which sessions are drawn
decode.py           all of it in small steps
reduced_rank.py     one decoder for several sessions
"""
