"""One integration needs none of the others, and says what it needs itself."""

import subprocess
import sys

import pytest

from dragon_finetune import integrations
from dragon_finetune.errors import DragonFinetuneError, MissingExtraError

PACKAGES = {
    "langchain": ("FineTunedEmbeddings", "langchain_core"),
    "llama_index": ("FineTunedEmbedding", "llama_index"),
    "haystack": ("FineTunedTextEmbedder", "haystack"),
    "chroma": ("FineTunedEmbeddingFunction", "chromadb"),
}


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def imported_by(line: str) -> set[str]:
    roots = [package for _, package in PACKAGES.values()]
    return set(run_python(f"{line}\nimport sys\nprint(*[name for name in {roots} if name in sys.modules])").split())


@pytest.mark.parametrize("room", PACKAGES)
def test_importing_one_imports_none_of_the_others(room):
    name, package = PACKAGES[room]
    assert imported_by(f"from dragon_finetune.integrations.{room} import {name}") == {package}
    assert imported_by(f"from dragon_finetune.integrations import {name}") == {package}


def test_importing_none_imports_nothing():
    assert imported_by("import dragon_finetune.integrations") == set()


def test_public_names_load():
    for name in integrations.__all__:
        assert getattr(integrations, name).__name__ == name
    assert set(integrations.__all__) <= set(dir(integrations))
    assert not hasattr(integrations, "no_such_name")


@pytest.mark.parametrize("room", ["langchain", "llama_index", "haystack"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(room):
    name, package = PACKAGES[room]
    said = run_python(
        f"import sys\nsys.modules[{package!r}] = None\nfrom dragon_finetune.errors import MissingExtraError\n"
        f"try:\n    from dragon_finetune.integrations import {name}\n"
        "except MissingExtraError as error:\n    print(error.name, '|', error)"
    )
    assert said.startswith(package)
    assert f'pip install "dragon-finetune[{room.replace("_", "-")}]"' in said


def test_it_is_caught_as_ours_and_as_an_import_error():
    assert issubclass(MissingExtraError, DragonFinetuneError)
    assert issubclass(MissingExtraError, ImportError)
