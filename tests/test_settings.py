import inspect
import re

import pytest

from dragon_finetune.codex.switch import chosen as codex_chosen
from dragon_finetune.errors import SettingsError, TokenLimitError
from dragon_finetune.settings import read_options, read_switch


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("EMBEDDER", "FINETUNED_MODEL_PATH", "FINETUNED_ON_OVERFLOW"):
        monkeypatch.delenv(name, raising=False)


def test_order_is_yaml_env_file_environment_arguments(monkeypatch, tmp_path):
    config = {"finetuned": {"model_path": "yaml", "on_overflow": "split"}}
    assert read_options("finetuned", config).model_path == "yaml"
    (tmp_path / ".env").write_text(
        "FINETUNED_MODEL_PATH=dotenv\nOLLAMA_BASE_URL=x\nFINETUNED_FOO=1\n", encoding="utf-8"
    )
    assert read_options("finetuned", config).model_path == "dotenv"
    monkeypatch.setenv("FINETUNED_MODEL_PATH", "environment")
    assert read_options("finetuned", config).model_path == "environment"
    options = read_options("finetuned", config, model_path="argument")
    assert (options.model_path, options.on_overflow) == ("argument", "split")


def test_switch_defaults_to_the_hosts_own(monkeypatch):
    assert read_switch({}).embedder == "host"
    assert read_switch({"embedder": "finetuned"}).embedder == "finetuned"
    monkeypatch.setenv("EMBEDDER", "base")
    assert read_switch({"embedder": "finetuned"}).embedder == "base"


def test_foreign_variables_of_the_same_prefix_are_none_of_our_business(monkeypatch):
    monkeypatch.setenv("BASE_URL", "http://localhost")
    assert read_options("base", {}).model_path is None


def test_near_miss_of_a_top_level_key_is_warned_about():
    with pytest.warns(UserWarning, match="'embeder'.*did you mean 'embedder'"):
        read_switch({"embeder": "finetuned"})


def test_host_keys_pass_in_silence():
    assert read_switch({"chroma_path": "x", "top_k": 5, "collections": []}).embedder == "host"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"model_pth": "x"}, r"unknown option finetuned.model_pth. Did you mean 'model_path'"),
        ({"on_overflow": "eror"}, r"on_overflow is 'eror'. Did you mean 'error'"),
        ({"truncate_dim": "many"}, "truncate_dim is 'many'"),
        ("models/finetuned", "must hold options"),
    ],
)
def test_bad_options_name_the_nearest_known(section, words):
    with pytest.raises(SettingsError, match=words):
        read_options("finetuned", {"finetuned": section})


def test_collections_from_the_environment_are_split_at_commas(monkeypatch):
    monkeypatch.setenv("FINETUNED_COLLECTIONS", "narrative, reference")
    assert read_options("finetuned", {}).collections == ("narrative", "reference")


def test_a_refusal_of_long_texts_names_what_is_read(tiny, monkeypatch):
    from dragon_finetune import FineTunedEmbedder
    from dragon_finetune.cli.index import embed

    with pytest.raises(TokenLimitError) as refusal:
        FineTunedEmbedder(tiny, device="cpu", engine="torch").encode(["lamp " * 200], role="document")
    said = str(refusal.value)
    for section in ("finetuned", "base"):
        assert "`on_overflow: split`" in said
        assert f"`{section}:`" in said
        assert read_options(section, {section: {"on_overflow": "split"}}).on_overflow == "split"
    variables = re.findall(r"([A-Z_]+)=(\w+)", said)
    assert [name for name, _ in variables] == ["FINETUNED_ON_OVERFLOW", "BASE_ON_OVERFLOW"]
    for name, value in variables:
        monkeypatch.setenv(name, value)
        assert read_options(name.split("_")[0].lower(), {}).on_overflow == "split"
    assert "`--on-overflow split`" in said
    assert "on_overflow" in inspect.signature(embed).parameters


@pytest.mark.parametrize("read", [lambda: read_switch({}), lambda: read_options("base", {}), codex_chosen])
def test_an_env_file_in_an_old_code_page_is_named(tmp_path, monkeypatch, read):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes("TITLE=Café\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"\.env is not UTF-8"):
        read()
