"""Files of further makers of microscopes; each reader cites where its layout is written down."""
