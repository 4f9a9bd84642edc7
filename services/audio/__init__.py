"""What every service means by audio."""
