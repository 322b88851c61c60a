"""Surrogates, kernels, features and training targets that policies are put together from."""
