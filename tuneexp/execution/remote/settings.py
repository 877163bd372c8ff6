"""What every Ray that starts for this library has in its environment. Imports no Ray: this is read before it loads."""

CPUS_PER_LEARNER = 1.0

# Workers of a Ray that starts here inherit them.
WORKER_SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # 15 by default: whatever else runs here would come before training
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
