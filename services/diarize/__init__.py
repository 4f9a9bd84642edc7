"""Tells who spoke when: recordings in, speaker turns out."""
