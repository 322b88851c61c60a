"""Source-meters on the VISA bus."""
