"""The container's files: what they name is there, and where Docker runs they are built, started and asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from rscovlm.cli import app
from rscovlm.scenes import write_data_set

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "docker"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
STEPS = re.findall(r"^([A-Z]+) (.+)$", re.sub(r"\s*\\\n\s*", " ", DOCKERFILE), re.MULTILINE)
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
IGNORED = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()


def arguments(*kinds: str) -> list[str]:
    return [rest for kind, rest in STEPS if kind in kinds]


def options(words: list[str]) -> dict[str, Any]:
    """Return what our command line reads of a command; it refuses what it does not have."""
    command: Any = get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    return dict(command.make_context(words[0], words[1:]).params)


def test_the_image_is_pinned_and_runs_without_root() -> None:
    (base,) = [rest for rest in arguments("ARG") if rest.startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-\w+", base), "a version, not a moving tag"
    assert [rest.split()[0] for rest in arguments("FROM")] == ["python:${PYTHON}"] * 2
    last = STEPS[max(at for at, (kind, _) in enumerate(STEPS) if kind == "FROM") :]
    (user,) = [rest for kind, rest in last if kind == "USER"]
    assert int(user) > 0 and f"--uid {user}" in DOCKERFILE
    assert [kind for kind, _ in last].index("USER") < [kind for kind, _ in last].index("ENTRYPOINT")


def test_no_key_is_in_the_image_or_the_file_of_services() -> None:
    for rest in arguments("ARG", "ENV"):
        assert not re.search(r"KEY|TOKEN|SECRET|PASSWORD", rest, re.IGNORECASE)
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            assert not re.search(r"KEY|TOKEN", name) or re.fullmatch(r"\$\{\w+:\?.+\}", value)
        assert service["read_only"] and service["cap_drop"] == ["ALL"]


def test_what_is_copied_is_there_and_is_let_in() -> None:
    for rest in arguments("COPY"):
        for source in rest.split()[:-1]:
            if not source.startswith("--from="):
                assert source.startswith("/") or ((ROOT / source).exists() and f"!{source}" in IGNORED), source
    assert IGNORED[1] == "*", "nothing else of the checkout goes to the builder"
    extras = re.search(r"EXTRAS=(\S+)", DOCKERFILE)
    listed = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert extras is not None
    assert all(re.search(rf"^{extra} = \[", listed, re.MULTILINE) for extra in extras[1].split(","))


def test_the_commands_are_ours() -> None:
    (entry,), (command,) = arguments("ENTRYPOINT"), arguments("CMD")
    assert json.loads(entry) == ["rscovlm"]
    served = options(json.loads(command))
    assert served == options(SERVICES["serve"]["command"])
    assert served["host"] == "0.0.0.0" and served["api_key_env"] in SERVICES["serve"]["environment"]
    port = served["port"]
    assert arguments("EXPOSE") == [str(port)] and SERVICES["serve"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    (check,) = arguments("HEALTHCHECK")
    assert f"'http://127.0.0.1:{port}/health'" in check
    asked = options(SERVICES["predict"]["command"])
    assert asked["server"] == [f"http://serve:{port}/v1"] and asked["model"] == served["name"]
    mounted = {volume.rsplit(":/", 1)[1].removesuffix(":ro") for volume in SERVICES["predict"]["volumes"]}
    for path in [*asked["sources"], asked["out"].parent, asked["geojson"].parent]:
        assert str(path).removeprefix("/") in mounted
    assert (FOLDER / SERVICES["serve"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / SERVICES["serve"]["build"]["dockerfile"]).is_file()


@pytest.mark.slow
def test_built_started_and_asked(tmp_path: Path) -> None:
    """Minutes, most of them for the image."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("Docker does not run here")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("Docker has no compose here")
    write_data_set(tmp_path / "drawn", count=2, held=1)
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "out").chmod(0o777)
    images = tmp_path / "drawn" / "images" / "train"
    variables = {"SERVE_KEY": "of-this-test", "IMAGES": str(images), "OUT": str(tmp_path / "out")}
    compose = ["docker", "compose", "-p", "rscovlm-test", "-f", str(FOLDER / "compose.yaml")]

    def run(*words: str) -> str:
        done = subprocess.run(
            [*compose, *words],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    try:
        run("up", "--build", "--wait", "serve")
        with urllib.request.urlopen("http://127.0.0.1:8000/health", timeout=10) as reply:
            assert reply.status == 200
        assert run("exec", "serve", "id", "-u").strip() == "10001"
        run("run", "--rm", "predict")
        rows = (tmp_path / "out" / "found.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(rows) == 3 and "error" not in json.loads(rows[1])
        assert (
            json.loads((tmp_path / "out" / "found.geojson").read_text(encoding="utf-8"))["type"] == "FeatureCollection"
        )
    finally:
        run("down", "--volumes", "--timeout", "20")
