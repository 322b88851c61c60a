"""File formats: recorded images and grids of curves, with their units and axes."""
