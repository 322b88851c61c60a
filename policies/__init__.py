"""What to measure next: policies that ask and are told."""
