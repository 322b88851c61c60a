"""Training of the pretrained surrogate on simulated films."""
