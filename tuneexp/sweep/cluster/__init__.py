"""The Ray cluster of a sweep: start and connection, capacity, node checks and monitoring."""
