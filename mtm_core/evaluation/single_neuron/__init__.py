"""How well one neuron is predicted on held-out trials: PSTHs, residuals, calibration, variance, ceilings."""
