"""``python -m grainscout.cli``."""

from grainscout.cli import main

main()
