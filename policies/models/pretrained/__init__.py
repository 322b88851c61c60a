"""The pretrained surrogate: what simulated films teach about maps, corrected by a run's own curves."""
