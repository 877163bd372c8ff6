"""Process that becomes Ray's agent of runtime environments at the first request to its port. See `no_dashboard`.

It ends soon after its raylet. Run as a script, with -I and -S: address and port, then the command of the agent."""

import os
import select
import socket
import sys

POLL_S = 1.0


def requested(address: str, port: int, raylet: int) -> bool:
    """Wait for a request. Returns False if the raylet has ended. The raylet repeats the request."""
    with socket.socket() as server:
        server.bind((address, port))
        server.listen()
        while os.getppid() == raylet:
            if select.select([server], [], [], POLL_S)[0]:
                return True
    return False


if __name__ == "__main__":
    _, _address, _port, *_agent = sys.argv
    if requested(_address, int(_port), int(os.environ["RAY_RAYLET_PID"])):
        os.execv(_agent[0], _agent)
