"""Speechmesh: speech recognition, diarization and summaries as gRPC services behind an HTTP edge."""
