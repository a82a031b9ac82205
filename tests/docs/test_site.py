"""The site builds strictly and offline, asks nobody for anything, and follows the code."""

import os
import re
import subprocess
import sys
from html import unescape

import pytest
from pages_of_docs import PAGES, ROOT
from typer.main import get_command

import dragon_finetune
from dragon_finetune import TrainingConfig
from dragon_finetune.cli.app import app
from dragon_finetune.settings import ModelOptions, Switch

# What a browser fetches by itself; `<a href>` waits for a click.
FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object|use)\b[^>]*\b(?:src|data|href)=[\"']?(?:https?:)?//[^\s>]*"
    r"|<link\b[^>]*\bhref=[\"']?(?:https?:)?//[^\s>]*"
    r"|class=\"mermaid\""  # the theme would fetch what draws it
    r"|url\([\"']?(?:https?:)?//[^)]*|@import[^;]*//[^;]*"
)


def build(config, out) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", out]
    environment = {
        **os.environ,
        "NO_MKDOCS_2_WARNING": "1",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs")
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT / "docs" / "_site" / "mkdocs.yml", out)
    assert done.returncode == 0, done.stderr
    return out


def text_of(page) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_every_page_is_there(site):
    assert {page.stem for page in PAGES} <= {page.stem for page in site.glob("*.html")}


def test_a_browser_fetches_nothing_from_elsewhere(site):
    pages = [page for kind in ("html", "css") for page in site.rglob(f"*.{kind}")]
    assert len(pages) > len(PAGES)
    assert {page.name: found for page in pages if (found := FETCHED.findall(page.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js">',
        '<link rel="stylesheet" href="//fonts.example/css">',
        "@import 'https://a.example/x.css';",
        "background: url(http://a.example/x.png)",
    ],
)
def test_what_a_browser_would_fetch_is_seen(text):
    assert FETCHED.search(text)


def test_the_command_line_is_all_there(site):
    text = text_of(site / "cli.html")
    for name, command in get_command(app).commands.items():
        assert f"dragon-finetune {name}" in text
        for option in (option for param in command.params for option in param.opts if option.startswith("--")):
            assert option in text, (name, option)


def test_every_setting_is_there_and_says_what_it_means(site):
    text = (site / "settings.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr>\s*<td><code>(\w+)</code></td>(.*?)</tr>", text, re.DOTALL)
    said = [(name, re.findall(r"<td>(.*?)</td>", cells, re.DOTALL)[-1]) for name, cells in rows]
    assert {name for name, _ in said} >= {
        *Switch.model_fields,
        *ModelOptions.model_fields,
        *TrainingConfig.model_fields,
    }
    assert [name for name, meaning in said if len(meaning) < 10] == []


def test_every_public_name_is_there(site):
    ids = re.findall(r'id="dragon_finetune\.(\w+)"', (site / "api.html").read_text(encoding="utf-8"))
    assert {*dragon_finetune.__all__} <= {*ids}


def test_links_out_of_docs_are_paths(site):
    text = (site / "training.html").read_text(encoding="utf-8")
    assert "<code>examples/benchmarks/bench_gain.py</code>" in text
    assert "../examples" not in text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[x](nowhere.md)", "nowhere.md"),
        ("[x](lexical.md#nowhere)", "nowhere"),
        ("[x](../examples/benchmarks/nowhere.py)", "nowhere.py, which is not in the repository"),
    ],
)
def test_a_broken_link_fails_the_build(tmp_path, line, said):
    pytest.importorskip("mkdocs")
    (tmp_path / "docs" / "_site").mkdir(parents=True)
    for name in ("index.md", "lexical.md", "lexical.svg"):
        (tmp_path / "docs" / name).write_text("# One\n", encoding="utf-8")
    (tmp_path / "docs" / "index.md").write_text(f"# One\n\n{line}\n", encoding="utf-8")
    config = (ROOT / "docs" / "_site" / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[0]
    (tmp_path / "docs" / "_site" / "mkdocs.yml").write_text(config, encoding="utf-8")
    hooks = (ROOT / "docs" / "_site" / "hooks.py").read_text(encoding="utf-8")
    (tmp_path / "docs" / "_site" / "hooks.py").write_text(hooks, encoding="utf-8")
    done = build(tmp_path / "docs" / "_site" / "mkdocs.yml", tmp_path / "out")
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
