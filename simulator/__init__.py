"""Films whose truth is known: grains, topography, transport, instrument and faults."""
