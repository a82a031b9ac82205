"""Generation C: its chunker, its dicts, refusals that it would swallow, and its own manager on a tuned folder."""

import json
import shutil

import numpy as np
import pytest
from runs_of_hosts import DATA, lay_out, plainly, run

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.codex.host_config import for_generation_c, host_config
from dragon_finetune.errors import SettingsError
from dragon_finetune.files import read_jsonl
from dragon_finetune.tokens.counting import TokenCounter

CHUNK = "src.embedding.emb_01_chunk_books"


def with_book(host):
    for file in (host / "data" / "chunks").glob("*.jsonl"):
        file.unlink()
    text = "\n\n".join(record["text"] for _, record in read_jsonl(DATA / "chunks" / "book_chunks.jsonl"))[:9000]
    books = host / "data" / "raw" / "books"
    books.mkdir(parents=True, exist_ok=True)
    (books / "one.txt").write_text(text, encoding="utf-8")
    return text


def test_its_chunker_embeds_sentences_and_counts_tokens_with_ours(tmp_path, env_of):
    host = lay_out("c", tmp_path / "host", env_of["base"])
    text = with_book(host)
    done = run(host, "-m", CHUNK)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Falling back" not in done.stdout
    pieces = [record["text"] for _, record in read_jsonl(host / "data" / "chunks" / "one_chunks.jsonl")]
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert "generation C: create_embedding_manager" in run(host, "--explain", "-m", CHUNK).stdout


def test_a_refusal_that_it_swallows_reaches_the_person(tmp_path, tiny, env_of):
    host = lay_out("c", tmp_path / "host", env_of["finetuned"].replace("split", "error"))
    with_book(host)
    book = host / "data" / "raw" / "books" / "one.txt"
    book.write_text("one two three " * 300, encoding="utf-8")
    done = run(host, "-m", CHUNK)
    assert "Falling back to size-based chunking" in done.stdout
    first, last = [line for line in done.stderr.splitlines() if line.startswith("warning: dragon-finetune refused")]
    assert "limit" in first
    assert "the host went on" in last
    assert done.returncode == 2


def test_tokens_are_counted_as_the_model_reads_them(tmp_path, tiny, env_of):
    host = lay_out("c", tmp_path / "host", env_of["finetuned"])
    ask = (
        "from dragon_finetune.codex.install import install; install(); from src.config import get_config;"
        "from src.embedding.embedding_factory import create_embedding_manager as create; import json;"
        "manager = create(get_config().CHUNKING_EMBEDDING);"
        "print(json.dumps([manager.tokenize_text('Seven knots.'), manager.token_count('Seven knots.'),"
        " manager.test_connection(), manager.get_manager_config()]))"
    )
    done = plainly(host, "-c", ask)
    ids, count, connected, settings = json.loads(done.stdout)
    assert ids == FineTunedEmbedder(tiny).folder.load_tokenizer()("Seven knots.")["input_ids"]
    assert count == len(ids) == TokenCounter(tiny, prompt=None).count("Seven knots.")
    assert connected
    assert settings["EMBEDDING_MODEL_CONFIG"]["EMBEDDING_MODEL_SEARCH_PREFIX"] == "search_query"


def own_manager(tmp_path, config, texts, chunk_type):
    host = lay_out("c", tmp_path / "host")
    settings = {
        "EMBEDDING_MANAGER": "sentence_transformer",
        "EMBEDDING_METHOD": "BATCH",
        "EMBEDDING_BATCH_SIZE": 32,
        "EMBEDDING_MODEL_CONFIG": config,
    }
    ask = (
        "import json; from src.embedding.embedding_factory import create_embedding_manager as create;"
        f"print(json.dumps(create({settings!r}).embed_chunks({texts!r}, chunk_type={chunk_type!r})[0]))"
    )
    done = plainly(host, "-c", ask)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_its_own_manager_makes_our_vectors_by_the_printed_dict(tmp_path, cli, tiny):
    done = cli("host-config", tiny)
    assert done.returncode == 0, done.stderr
    pasted = {}
    exec(done.stdout, pasted)
    texts = ["Seven knots were tied.", "der alte Fluss"]
    embedder = FineTunedEmbedder(tiny, precision="fp32", device="cpu", engine="torch")
    for chunk_type, role in (("SEARCH", "query"), ("DOCUMENT", "document"), ("RAW", None)):
        vectors = own_manager(tmp_path / chunk_type, pasted["EMBEDDING_MODEL_FINETUNED"], texts, chunk_type)
        assert np.allclose(vectors, embedder.encode(texts, role=role), atol=1e-5)


def test_a_prompt_that_a_space_would_change_is_said_to_be_impossible(tmp_path, tiny):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    file = folder / "config_sentence_transformers.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    said["prompts"] = {"query": "query:", "document": "passage: "}
    file.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(SettingsError, match="no space after it"):
        host_config(folder)


def test_what_can_not_be_loaded_for_it_takes_nothing_from_a_finished_training(tmp_path):
    assert "can't load it: " in for_generation_c(tmp_path / "no such folder")
