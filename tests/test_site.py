"""The site's search answers on pages opened from the disk, pages say where they are edited, and versions are chosen by a menu."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/docs.yml").read_text(encoding="utf-8"))


@pytest.fixture
def small_site(tmp_path: Path) -> Path:
    """Two pages with the theme, scripts and plug-ins of the site, whose own pages take a minute to build."""
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    config = yaml.safe_load(CONFIG)
    kept = {key: config[key] for key in ("site_name", "edit_uri", "use_directory_urls", "theme", "extra", "extra_css")}
    kept["plugins"] = [one for one in config["plugins"] if isinstance(one, str)]
    folder = tmp_path / "small"
    docs = folder / "docs"
    docs.mkdir(parents=True)
    for name in ("extra.css", "iframe-worker.js"):
        shutil.copy(ROOT / "docs" / name, docs)
    (docs / "index.md").write_text("# Start\n\nNothing to see.\n", encoding="utf-8")
    (docs / "other.md").write_text("# Other\n\nThe quick xylophone.\n", encoding="utf-8")
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(kept), encoding="utf-8")
    return folder


def _environment(**more: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PATH": path, **more}


def _seen(address: str) -> str:
    """Return a page as chromium has it once its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    return subprocess.run([*command, address], capture_output=True, text=True, timeout=120, check=True).stdout


def test_search_works_from_files(small_site: Path) -> None:
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet"], cwd=small_site, env=_environment(), check=True)
    seen = _seen(f"file://{small_site}/site/index.html?q=xylophone")
    assert re.search(r"md-search-result__meta[^<]*>\s*1 matching document", seen)
    assert "https://github.com/rscovlm/rscovlm/edit/main/docs/index.md" in seen
    assert not re.search(r'(?:src|href)="https?://(?!github\.com/rscovlm|squidfunk)', seen), (
        "nothing comes from elsewhere"
    )


def test_the_workflow_publishes_versions_that_a_menu_offers(small_site: Path, tmp_path: Path) -> None:
    pytest.importorskip("mike", reason="mike is not installed")
    remote = tmp_path / "remote.git"

    def git(*words: str, cwd: Path = small_site) -> str:
        return subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, check=True).stdout

    git("init", "--quiet", "--bare", "--initial-branch=main", str(remote), cwd=tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "Start")
    git("push", "--quiet", str(remote), "main")
    publishing = WORKFLOW["jobs"]["pages"]["steps"][-1]["run"]

    def publish(kind: str, name: str) -> str:
        """Run the workflow's last step in a clone of its own, as a hosted runner does, and return where the site's address leads."""
        clone = tmp_path / name
        git("clone", "--quiet", str(remote), str(clone), cwd=tmp_path)
        given = _environment(GITHUB_REF_TYPE=kind, GITHUB_REF_NAME=name)
        subprocess.run(["bash", "-e", "-c", publishing], cwd=clone, env=given, check=True, capture_output=True)
        found = re.search(r'href="([^"]+)/"', git("show", "gh-pages:index.html", cwd=remote))
        assert found is not None
        return found[1]

    assert publish("branch", "main") == "dev", "there is no tag yet"
    assert publish("tag", "v0.1.0") == "latest"
    assert publish("branch", "later") == "latest", "main does not take the place of a release"
    published = tmp_path / "published"
    git("clone", "--quiet", "--branch", "gh-pages", str(remote), str(published), cwd=tmp_path)
    assert sorted(one.name for one in published.iterdir() if one.is_dir() and one.name[0] != ".") == [
        "0.1.0", "dev", "latest"]  # fmt: skip
    with served(published) as address:
        seen = _seen(f"{address}/dev/other.html")
    assert set(re.findall(r'class="md-version__link">\s*([^<]+?)\s*<', seen)) == {"dev", "0.1.0"}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine and give its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""
