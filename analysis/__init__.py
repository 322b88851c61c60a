"""What was learnt: descriptors, metrics, statistics, figures, file formats."""
