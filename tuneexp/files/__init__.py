"""Files: atomic writes, locks, retries, temporary and remote folders, JSON and YAML, checkpoints."""
