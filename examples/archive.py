"""Detections on an archive of any size: parts of `rscovlm predict` over replicas of a server; who dies is started again.

    python examples/archive.py scenes --classes "plane, ship" --out runs/archive
    python examples/archive.py scenes --classes ship --out runs/archive --model NAME \\
        --server http://gpu1:8000/v1 --server http://gpu2:8000/v1 --parts 64 --ray

The first starts two replicas of `rscovlm serve` on this machine, the second asks servers that run elsewhere, from a Ray cluster whose
machines see the folders. A part is a share of the images, by a digest of their names, and has a file of rows of its own. Requests to
a replica that dies go to the others (`rscovlm.engines.Server`), a part that dies resumes behind its last whole row, and an image whose
answer failed is asked again, so the merged file has every image once. The same command resumes all of it.
"""

import argparse
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

RSCOVLM = [sys.executable, "-m", "rscovlm"]
TRIES = 5
"""How often a part is started; a file that is no image fails every time."""


def say(text: str) -> None:
    print(text, flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LocalReplica:
    """A server on this machine that is started again on the same port when it ends."""

    def __init__(self, command: str) -> None:
        self.port = free_port()
        self.command = shlex.split(command.format(port=self.port))
        self.address = f"http://127.0.0.1:{self.port}/v1"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)

    def wait(self, seconds: float = 600) -> None:
        """Wait until it answers, whatever it answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.address}/models", timeout=10).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.2)
        raise SystemExit(f"{shlex.join(self.command)} does not answer")

    def keep(self) -> None:
        if self.process.poll() is not None:
            say(f"the replica at {self.address} ended with {self.process.returncode} and is started again")
            self.start()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def run_here(commands: Sequence[list[str]], replicas: Sequence[LocalReplica]) -> list[int]:
    """Run all parts at a time and return how each ended at last; keep the replicas alive meanwhile."""
    running: list[subprocess.Popen[bytes]] = []

    def start(part: int) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(commands[part])
        say(f"part {part + 1} is process {process.pid}")
        return process

    try:
        running = [start(part) for part in range(len(commands))]
        tries = [1] * len(commands)
        while any(process.poll() is None for process in running):
            for replica in replicas:
                replica.keep()
            for part, process in enumerate(running):
                if process.poll() not in (None, 0, 2) and tries[part] < TRIES:  # 2: the command itself is refused
                    say(f"part {part + 1} ended with {process.returncode} and is started again")
                    running[part], tries[part] = start(part), tries[part] + 1
            time.sleep(0.2)
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
                process.wait()
    return [process.returncode for process in running]


def run_on_ray(commands: Sequence[list[str]]) -> list[int]:
    """Run the parts as tasks of a Ray cluster, which starts those of a lost machine on another; only commands go through it."""
    import ray

    @ray.remote(max_retries=-1)
    def part(command: list[str]) -> int:
        for _ in range(TRIES):
            status = subprocess.run(command, check=False).returncode
            if status in (0, 2):
                break
        return status

    return [int(status) for status in ray.get([part.remote(command) for command in commands])]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="folder, file or manifest, as rscovlm predict takes them")
    parser.add_argument("--classes", required=True, help="what to look for, with commas")
    parser.add_argument("--out", type=Path, default=Path("runs/archive"), help="folder of results")
    parser.add_argument("--parts", type=int, default=4, help="processes that ask")
    parser.add_argument(
        "--server", action="append", default=[], help="address of a replica that runs already; may be repeated"
    )
    parser.add_argument("--model", default="rscovlm", help="name of the model at the servers")
    parser.add_argument("--replicas", type=int, default=2, help="servers to start here, where no --server is given")
    parser.add_argument("--start", default=f"{shlex.join(RSCOVLM)} serve --port {{port}}", help="what starts one")
    parser.add_argument("--ray", action="store_true", help="run the parts on a Ray cluster")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = options.out / "found.jsonl"
    replicas: list[LocalReplica] = []
    try:
        replicas += [LocalReplica(options.start) for _ in range(0 if options.server else options.replicas)]
        for replica in replicas:
            replica.wait()
        addresses = options.server or [replica.address for replica in replicas]
        asking = [
            *RSCOVLM,
            "predict",
            options.images,
            "--task",
            "detect",
            "--classes",
            options.classes,
            "--out",
            str(rows),
        ]
        asking += ["--model", options.model, *(word for address in addresses for word in ("--server", address))]
        if not rows.exists():
            parts = [[*asking, "--shard", f"{part}/{options.parts}"] for part in range(1, options.parts + 1)]
            say(f"parts ended with {run_on_ray(parts) if options.ray else run_here(parts, replicas)}")
            if subprocess.run([*RSCOVLM, "merge", str(rows)], check=False).returncode:
                return 1
        # Asks what is still missing, which is nothing where all parts ended with 0, and writes the map.
        final = [*asking, "--geojson", str(options.out / "found.geojson"), "--overwrite"]
        return subprocess.run(final, check=False).returncode
    finally:
        for replica in replicas:
            replica.stop()


if __name__ == "__main__":
    sys.exit(main())
