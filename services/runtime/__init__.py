"""What every process of the mesh needs to live: settings, errors, logs, metrics, lifecycle."""
