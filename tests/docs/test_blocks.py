"""Code on the pages: Python compiles, that of the tutorial and the how-tos runs, YAML holds settings that there are."""

import pytest
import yaml
from pages_of_docs import PAGES, READ, blocks

from dragon_finetune import TrainingConfig
from dragon_finetune.known_prompts import _FAMILIES
from dragon_finetune.settings import SECTIONS, Switch, read_options, read_switch

RUN = ("api", "big-corpora", "gpu", "index", "int8", "prompts")  # input, serve and the tutorial have tests of their own
PYTHON = [(page.stem, code) for page in READ for code in blocks(page, "python", "py")]
YAML = [(page.stem, code) for page in READ for code in blocks(page, "yaml")]


def named(cases):
    return [f"{name} {code.split()[-1][:20]}" for name, code in cases]


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=named(PYTHON))
def test_it_compiles(page, code):
    compile(code, page, "exec")


@pytest.mark.parametrize(("page", "code"), run := [case for case in PYTHON if case[0] in RUN], ids=named(run))
def test_it_runs_and_prints_what_it_says(page, code, capsys):
    exec(code, {})
    printed = capsys.readouterr().out.splitlines()
    said = [line.partition("  # ")[2] for line in code.splitlines() if line.startswith("print") and "  # " in line]
    assert printed[: len(said)] == said


@pytest.mark.parametrize(("page", "code"), YAML, ids=named(YAML))
def test_the_settings_are_known(page, code, tmp_path):
    config = yaml.safe_load(code)
    if {*config} & {*Switch.model_fields, *SECTIONS}:
        assert {*config} <= {*Switch.model_fields, *SECTIONS}
        read_switch(config, env_file=tmp_path / ".env")
        for section in SECTIONS:
            read_options(section, config, env_file=tmp_path / ".env")
    else:
        assert TrainingConfig(**{"base_model": "embedded", "output_dir": tmp_path / "tuned", **config})


def test_the_table_of_prompts_is_the_codes():
    page = next(page for page in PAGES if page.stem == "prompts").read_text(encoding="utf-8")
    for name, family in _FAMILIES.items():
        cells = [
            "`" + prompt.replace("\n", "\\n").replace("|", "\\|") + "`" if prompt else "nothing"
            for prompt in (family.prompts.query, family.prompts.document)
        ]
        assert f"| `{name}` | {cells[0]} | {cells[1]} |" in page
