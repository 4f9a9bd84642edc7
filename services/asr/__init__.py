"""Speech recognition: recordings in, words with times out."""
