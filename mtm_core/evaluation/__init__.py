"""How good a prediction is, and what it may be compared with.

questions -> answers -> metrics -> score     hide this, predict that; rates; sums over bins; the judged number
tasks, session_scores                        one task of a model; a model, other models and all baselines in one table
bootstrap, compare                           intervals over trials; paired differences, of equal protocols only
baselines                                    what a model has to beat: psth, condition_psth, coupling, linear (ridge),
                                             reduced_rank, autoregression; calibration and poisson serve them; untrained
duplicates, held_out_sets, few_shot          other ways to ask: without the target's twins, sets, from few trials
bwb                                          prediction files for the scorer of BrainWideBench
single_neuron/  decoding/  information/      one neuron in depth; behavior; what regions tell about one another
"""
