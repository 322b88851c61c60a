"""Models and optimisers of other packages behind the same ask and tell."""
