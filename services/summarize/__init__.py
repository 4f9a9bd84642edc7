"""Sums up transcripts with a small language model."""
