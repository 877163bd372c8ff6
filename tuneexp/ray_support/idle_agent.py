"""Process in place of Ray's dashboard agent: ends soon after its raylet, and does nothing else. See `no_dashboard`."""

import os
import time

POLL_S = 1.0

if __name__ == "__main__":
    raylet = int(os.environ["RAY_RAYLET_PID"])
    while os.getppid() == raylet:
        time.sleep(POLL_S)
