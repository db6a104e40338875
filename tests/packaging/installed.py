"""What the tests in this folder share: running an installed tallyd as its service would be."""

import os
import signal
import subprocess
import tempfile

START_SECONDS = 60


def serve_once(program, configuration, environment=None):
    """Runs a tallyd with a file of settings, in a directory of its own and on free ports, until it
    is ready; then stops it. Returns its log; fails unless it ends with 0."""
    with tempfile.TemporaryDirectory(prefix="tally-packaging-") as directory:
        process = subprocess.Popen(
            [program, "--config", configuration, "--http", "127.0.0.1:0", "--forward",
             "127.0.0.1:0"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TALLY_DATA": os.path.join(directory, "data"),
                 **(environment or {})})
        log = ""
        for line in process.stderr:
            log += line
            if "event=ready" in line:
                process.send_signal(signal.SIGTERM)
        process.stderr.close()
        code = process.wait(START_SECONDS)
        if code != 0 or "event=ready" not in log:
            raise AssertionError(f"{program} ended with {code}:\n{log}")
        return log
