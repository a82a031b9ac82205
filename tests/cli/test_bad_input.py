"""Bad input to every command: refused with exit code 2 and the name of what is wrong, before anything is lost."""

import json

import pytest
from conftest import make_pairs, run_here

QUESTION = {
    "question_id": 1,
    "question": "who lit the lamp",
    "category": "plot",
    "difficulty": "easy",
    "expected_topics": ["lamp"],
}
ANSWER = {**QUESTION, "retrieved_chunks": [{"text": "the lamp", "distance": 0.5}]}
JSON = {"answers": {"results": [ANSWER]}, "questions": {"questions": [QUESTION]}}


def answers(**changes):
    return json.dumps({"results": [{**ANSWER, **changes}]})


def questions(**changes):
    return json.dumps({"questions": [{**QUESTION, **changes}]})


@pytest.fixture
def place(tmp_path, tiny, monkeypatch):
    """A folder with good files, in which each row puts a bad one."""
    monkeypatch.chdir(tmp_path)
    for name in ("EMBEDDER", "CHUNKER", "FINETUNED_MODEL_PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tiny").symlink_to(tiny)
    rows = {
        "chunks.jsonl": [{"text": "The lamp of the Oriel."}, {"text": "Nine knots of greywick."}],
        "pairs.jsonl": make_pairs(12),
    }
    for name, records in rows.items():
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in records), encoding="utf-8")
    for name, value in JSON.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "kept.jsonl").write_text('{"text": "kept"}\n', encoding="utf-8")
    return tmp_path


def call(line):
    """Return (exit code, stdout, stderr) of a command line, in this process."""
    done = run_here(*line.split())
    return done.returncode, done.stdout, done.stderr


# Content that no reader of JSON lines takes, and what is said of each.
LINES = {
    "empty": (b"", "bad"),
    "blank": (b"\n\n", "bad"),
    "cut": (b'{"text": "x', "line 1"),
    "a list": (b"[1, 2]\n", "expected a JSON object"),
    "a number": (b"7\n", "expected a JSON object"),
    "deep": (b"[" * 60_000 + b"\n", "nests too deep"),
    "utf-16": ('{"text": "x"}\n'.encode("utf-16"), "not UTF-8"),
    "latin-1": ('{"text": "é"}\n'.encode("latin-1"), "not UTF-8"),
    "null bytes": (b"\0" * 50 + b"\n", "line 1"),
    "a picture": (bytes(range(256)), "bad"),
    "NaN": (b'{"text": NaN}\n', "NaN is no number"),
    "an endless number": (b'{"text": "x", "n": 1e999}\n', "no number"),
    "a huge number": (b'{"text": "x", "n": ' + b"9" * 6_000 + b"}\n", "line 1"),
}
TEXTS = {
    "no text": (b'{"txt": "x"}\n', "line 1"),
    "null": (b'{"text": null}\n', "found NoneType"),
    "a number": (b'{"text": 7}\n', "found int"),
    "empty text": (b'{"text": "  "}\n', "empty"),
    "a surrogate": (b'{"text": "\\ud800"}\n', "lone surrogate"),
    "a bad second line": (b'{"text": "x"}\n{"text": \n', "line 2"),
}
PAIRS = {
    "no query": (b'{"positive_text": "x"}\n', "no 'query'"),
    "no positive": (b'{"query": "x"}\n', "no 'positive_text'"),
    "query is a list": (b'{"query": ["x"], "positive_text": "y"}\n', "query: expected a string"),
    "near miss": (b'{"query": "x", "positive_text": "y", "negs": ["z"]}\n', "nobody reads 'negs'"),
    "negatives of numbers": (
        b'{"query": "x", "positive_text": "y", "negatives": [1]}\n',
        "negative: expected a string",
    ),
}
READERS = [
    "audit bad.jsonl --model tiny",
    "chunk bad.jsonl kept.jsonl --model tiny",
    "embed bad.jsonl --model tiny --out shards",
    "pairs bad.jsonl --out kept.jsonl",
    "evaluate --model tiny --chunks bad.jsonl --questions questions.json",
    "lexicon bad.jsonl --model tiny --output out",
    "export --model tiny --to onnx --output out --texts bad.jsonl",
]
PAIR_READERS = [
    "train bad.jsonl --base-model tiny --output out",
    "train pairs.jsonl --base-model tiny --output out --config general.yaml",
    "search bad.jsonl --base-model tiny --output out --budget 1h --force",
    "compare answers.json answers.json --pairs bad.jsonl",
]
ROWS = [
    # An audit of nothing has an answer: no texts.
    *(
        (line, {"bad.jsonl": content}, said)
        for line in READERS
        for content, said in LINES.values()
        if content.strip() or not line.startswith("audit")
    ),
    *((line, {"bad.jsonl": content}, said) for line in READERS for content, said in TEXTS.values()),
    *(
        (line, {"bad.jsonl": content, "general.yaml": b"general_pairs: bad.jsonl"}, said)
        for line in PAIR_READERS
        for content, said in [*list(LINES.values())[2:8], *PAIRS.values()]
    ),
    # what is not there, or is something else
    ("audit nothing.jsonl --model tiny", {}, "nothing.jsonl does not exist"),
    ("audit folder --model tiny", {}, "folder holds no .txt or .md files; it is empty"),
    ("audit chunks.jsonl --model nobody/nothing", {}, "nobody/nothing"),
    ("audit chunks.jsonl --model chunks.jsonl", {}, "is a file"),
    ("audit chunks.jsonl --model folder", {}, "modules.json is missing"),
    ("audit chunks.jsonl", {}, "--model"),
    ("audit chunks.jsonl --model tiny --field nothing", {}, "nothing"),
    ("audit chunks.jsonl --model tiny --image x.docx", {}, "x.docx"),
    ("chunk chunks.jsonl chunks.jsonl --model tiny", {}, "same file"),
    ("chunk chunks.jsonl folder --model tiny", {}, "folder can't be written"),
    ("chunk chunks.jsonl chunks.jsonl/below --model tiny", {}, "below can't be written"),
    ("chunk chunks.jsonl out.jsonl --model tiny --max-tokens 0", {}, "max_tokens"),
    ("chunk chunks.jsonl out.jsonl --model tiny --max-tokens -5", {}, "max_tokens"),
    ("chunk chunks.jsonl out.jsonl --model tiny --max-tokens 100000", {}, "100000"),
    ("chunk chunks.jsonl out.jsonl --model tiny --max-tokens x", {}, "valid int"),
    ("chunk chunks.jsonl out.jsonl --model tiny --overlap-tokens 90", {}, "overlap_tokens"),
    ("chunk chunks.jsonl out.jsonl --model tiny --max-chars 0", {}, "max_chars"),
    ("embed chunks.jsonl --model tiny --out chunks.jsonl", {}, "chunks.jsonl"),
    ("embed chunks.jsonl --model tiny --out s --store v", {}, "--store and --collection go together"),
    ("embed chunks.jsonl --model tiny --out s --replace", {}, "--replace"),
    ("embed chunks.jsonl --model tiny --out s --store v --collection a", {}, "no collection called 'a'"),
    ("embed chunks.jsonl --model tiny --out s --store v --collection my/codex", {}, "my/codex"),
    ("embed chunks.jsonl --model tiny --out s --store http://127.0.0.1:9 --collection books", {}, "127.0.0.1:9"),
    ("embed chunks.jsonl --model tiny --out s --store http://127.0.0.1:port --collection books", {}, "port"),
    ("embed chunks.jsonl --model tiny --out s --store chunks.jsonl --collection books", {}, "chunks.jsonl"),
    ("embed chunks.jsonl --model tiny --out s --engine gpu", {}, "engine is 'gpu'"),
    ("embed chunks.jsonl --model tiny --out s --precision fp8", {}, "precision is 'fp8'"),
    ("embed chunks.jsonl --model tiny --out s --on-overflow cut", {}, "cut"),
    ("embed chunks.jsonl chunks.jsonl --model tiny --out s --store v --collection books", {}, "given twice"),
    ("lexicon chunks.jsonl --model tiny --output out --dimensions 0", {}, "dimensions is 0"),
    ("lexicon chunks.jsonl --model tiny --output out --dimensions 10000000", {}, "dimensions is 10000000"),
    ("lexicon chunks.jsonl --model tiny --output out --share 2", {}, "share is 2"),
    ("lexicon chunks.jsonl --model tiny --output out --share nan", {}, "share is nan"),
    ("lexicon chunks.jsonl --model tiny --output out --distances mine", {}, "--distances is 'mine'"),
    ("lexicon bad.jsonl --model tiny --output out", {"bad.jsonl": b'{"text": "?!"}\n'}, "has a word in it"),
    ("lexicon chunks.jsonl --model tiny --output out", {}, "too few to see where distances lie"),
    ("lexicon chunks.jsonl --model tiny --output tiny", {}, "is the model itself"),
    ("lexicon chunks.jsonl --model tiny --output .", {}, "is not empty"),
    ("export --model tiny --to onnx --output .", {}, "is not empty"),
    ("export --model tiny --to onxx --output out", {}, "Did you mean 'onnx'"),
    ("export --model tiny --to onnx --dtype f16 --output out", {}, "--dtype is 'f16'"),
    ("export --model tiny --to gguf --output out", {}, "tokenizer is BPE"),
    ("export --model nowhere/at/all --to onnx --output out", {}, "No model folder"),
    ("lexicon chunks.jsonl --model tiny --output chunks.jsonl", {}, "is not empty"),
    ("lexicon chunks.jsonl --model nothing --output out", {}, "nothing"),
    ("lexicon chunks.jsonl --model tiny --output out --questions-to-avoid nothing.json", {}, "nothing.json"),
    ("lexicon chunks.jsonl --model tiny --output out --add-to folder", {}, "go together"),
    ("lexicon chunks.jsonl --model tiny --output out --add-to folder --collection a --as books", {}, "holds no Chroma"),
    ("lexicon chunks.jsonl --model tiny --output out --add-to folder --collection books --as b", {}, "called 'b'"),
    ("lexicon chunks.jsonl --model tiny --output out --add-to http://127.0.0.1:9 --collection books --as more", {},
     "127.0.0.1:9"),
    ("train pairs.jsonl --base-model tiny --output out --lexicon nothing.jsonl", {}, "nothing.jsonl does not exist"),
    ("train pairs.jsonl --base-model tiny --output out --distances mine", {}, "distances"),
    ("doctor --model tiny --store nothing", {}, "holds no Chroma store"),
    ("doctor --model tiny --store folder", {}, "holds no Chroma store"),
    ("doctor --model tiny --store httpfolder", {}, "holds no Chroma store"),
    ("doctor --model tiny --store http://127.0.0.1:9", {}, "127.0.0.1:9"),
    ("doctor --model tiny --store folder", {"folder/chroma.sqlite3": b"garbage" * 99}, "Chroma says"),
    ("doctor --model tiny --sample 0", {}, "sample"),
    ("doctor --model nothing --store folder", {}, "holds no"),
    ("pairs chunks.jsonl --out kept.jsonl --source keyword", {}, "mean 'keywords'"),
    ("pairs chunks.jsonl --out kept.jsonl --source cloze", {}, "'cloze' was taken out"),
    ("pairs chunks.jsonl --out kept.jsonl --per-chunk 0", {}, "per_chunk is 0"),
    ("pairs chunks.jsonl --out kept.jsonl --source hybrid", {}, "needs --model"),
    ("pairs chunks.jsonl --out kept.jsonl --hard-negatives 2", {}, "--model"),
    ("pairs chunks.jsonl --out kept.jsonl --indexes folder", {}, "index.json"),
    ("pairs chunks.jsonl --out kept.jsonl --questions-to-avoid chunks.jsonl", {}, "chunks.jsonl"),
    ("train pairs.jsonl --output out", {}, "base_model"),
    ("train pairs.jsonl --base-model tiny", {}, "output_dir"),
    ("train pairs.jsonl --base-model nothing/at/all --output out", {}, "nothing/at/all"),
    ("train pairs.jsonl --base-model tiny --output chunks.jsonl", {}, "chunks.jsonl"),
    ("train pairs.jsonl --base-model tiny --output chunks.jsonl/below", {}, "can't be written"),
    ("train pairs.jsonl --base-model tiny --output out --epochs 0", {}, "epochs is 0"),
    ("train pairs.jsonl --base-model tiny --output out --epochs nan", {}, "epochs is nan"),
    ("train pairs.jsonl --base-model tiny --output out --lr -1", {}, "learning_rate is -1"),
    ("train pairs.jsonl --base-model tiny --output out --lr inf", {}, "learning_rate is inf"),
    ("train pairs.jsonl --base-model tiny --output out --warmup -1", {}, "warmup"),
    ("train pairs.jsonl --base-model tiny --output out --batch-size 1", {}, "batch_size is 1"),
    ("train pairs.jsonl --base-model tiny --output out --temperature 0", {}, "temperature is 0"),
    ("train pairs.jsonl --base-model tiny --output out --max-seq-length 2", {}, "max_seq_length is 2"),
    ("train pairs.jsonl --base-model tiny --output out --seed -3", {}, "seed is -3"),
    ("train pairs.jsonl --base-model tiny --output out --on-overflow cut", {}, "on_overflow is 'cut'"),
    ("train pairs.jsonl --base-model tiny --output out --config nothing.yaml", {}, "nothing.yaml"),
    ("train pairs.jsonl --base-model tiny --output out --config c.yaml", {"c.yaml": b"- 1"}, "c.yaml must hold"),
    ("train pairs.jsonl --base-model tiny --output out --config c.yaml", {"c.yaml": b"a: ["}, "c.yaml"),
    ("train pairs.jsonl --base-model tiny --output out --config c.yaml", {"c.yaml": b"epoch: 2"}, "epochs"),
    ("train pairs.jsonl --base-model tiny --output out --config c.yaml", {"c.yaml": b"epochs: two"}, "epochs is 'two'"),
    ("train pairs.jsonl --base-model tiny --output out --config c.yaml", {"c.yaml": b"report_to: wandbb"}, "wandbb"),
    ("train pairs.jsonl --base-model tiny --output out --config c.yaml", {"c.yaml": b"report_to: wandb"}, "wandb"),
    ("train pairs.jsonl --base-model tiny --output out --config c.yaml", {"c.yaml": b"\xff\xfe"}, "c.yaml"),
    ("train pairs.jsonl --base-model tiny --output out --config folder", {}, "folder"),
    ("evaluate", {}, "give one answers file"),
    ("evaluate nothing.json", {}, "nothing.json does not exist"),
    ("evaluate folder.json", {"folder.json/x": b""}, "folder.json can't be read"),
    ("evaluate answers.json --era c", {}, "--era is 'c'"),
    ("evaluate answers.json --pairs nothing.jsonl", {}, "nothing.jsonl"),
    ("evaluate answers.json --chunks nothing.jsonl", {}, "nothing.jsonl"),
    ("evaluate --model tiny", {}, "--chunks and --questions"),
    ("evaluate --model tiny --chunks chunks.jsonl --questions answers.json", {}, '"questions"'),
    ("evaluate bad.json", {"bad.json": b"[]"}, '"results"'),
    ("evaluate bad.json", {"bad.json": b"{"}, "bad.json"),
    ("evaluate bad.json", {"bad.json": b'{"results": []}'}, "at least one entry"),
    ("evaluate bad.json", {"bad.json": b'{"results": {"a": 1}}'}, "at least one entry"),
    ("evaluate bad.json", {"bad.json": b'{"results": [7]}'}, "expected an object, found int"),
    ("evaluate bad.json", {"bad.json": answers(expected_topics="lamp").encode()}, "expected_topics is 'lamp'"),
    ("evaluate bad.json", {"bad.json": answers(expected_topics=[[1]]).encode()}, "topic 1"),
    ("evaluate bad.json", {"bad.json": answers(difficulty="EASY").encode()}, "difficulty is 'EASY'"),
    ("evaluate bad.json", {"bad.json": answers(difficulty=["easy"]).encode()}, "difficulty is ['easy']"),
    ("evaluate bad.json", {"bad.json": answers(question_id=None).encode()}, "'question_id' is missing"),
    ("evaluate bad.json", {"bad.json": answers(question_id=[1]).encode()}, "question_id"),
    ("evaluate bad.json", {"bad.json": answers(question=7).encode()}, "question"),
    ("evaluate bad.json", {"bad.json": answers(retrieved_chunks="x").encode()}, "retrieved_chunks"),
    ("evaluate bad.json", {"bad.json": answers(retrieved_chunks=[7]).encode()}, "chunk 1"),
    ("evaluate bad.json", {"bad.json": answers(retrieved_chunks=[{"text": "x"}]).encode()}, "the distance is None"),
    ("evaluate bad.json", {"bad.json": answers(retrieved_chunks=[{"distance": 1}]).encode()}, "chunk 1"),
    ("evaluate bad.json", {"bad.json": b'{"results": [{"x": NaN}]}'}, "missing"),
    ("evaluate --model tiny --chunks chunks.jsonl --questions bad.json", {"bad.json": b"7"}, '"questions"'),
    (
        "evaluate --model tiny --chunks chunks.jsonl --questions bad.json",
        {"bad.json": questions(temporal_limit="two").encode()},
        "temporal_limit",
    ),
    ("compare answers.json", {}, "tuned"),
    ("compare answers.json nothing.json", {}, "nothing.json"),
    ("compare answers.json answers.json --model nothing", {}, "nothing"),
    ("compare answers.json answers.json --html chunks.jsonl/x.html", {}, "x.html can't be written"),
    ("compare answers.json answers.json --markdown folder", {}, "folder can't be written"),
    ("compare answers.json other.json", {"other.json": answers(question_id=2).encode()}, "different questions"),
    ("compare answers.json tiny --chunks chunks.jsonl", {}, "--questions"),
    ("calibrate answers.json nothing.json", {}, "nothing.json"),
    ("calibrate answers.json bad.json", {"bad.json": answers(retrieved_chunks=[]).encode()}, "no chunk"),
    ("search pairs.jsonl --base-model tiny --output out --budget soon", {}, "the budget is 'soon'"),
    ("search pairs.jsonl --base-model tiny --output out --budget -1h", {}, "budget"),
    ("search pairs.jsonl --base-model tiny --output out --budget nanh", {}, "budget"),
    ("search pairs.jsonl --base-model tiny --output out --budget 1h --strategy all", {}, "strategy is 'all'"),
    ("search pairs.jsonl --base-model tiny --output out --budget 1h --lr x", {}, "--lr is 'x'"),
    ("search pairs.jsonl --base-model tiny --output out --budget 1h --lr -1 --force", {}, "learning_rate is -1"),
    ("search pairs.jsonl --base-model tiny --output out --budget 1h --first-run nothing.json", {}, "nothing.json"),
    ("search pairs.jsonl --base-model nothing --output out --budget 1h --force", {}, "nothing"),
    ("plugins --yaml", {}, "--yaml"),
    ("run", {}, "give a module or a script"),
    ("run -m", {}, "give a module or a script"),
    ("run --explain", {}, "give a module or a script"),
    ("run script.py", {"codex.yaml": b"embedder: finetuned"}, "needs a trained model"),
    ("run script.py", {"codex.yaml": b"embedder: [1]"}, "embedder"),
    ("run script.py", {"codex.yaml": b"- 1"}, "codex.yaml must hold"),
    ("run script.py", {"codex.yaml": b"embedder: tuned"}, "'tuned'"),
    ("run script.py", {"codex.yaml": b"embedder: base\nbase: 7"}, "base:"),
    ("run script.py", {"codex.yaml": b"embedder: base\nbase:\n  model: x"}, "base.model"),
    ("run script.py", {".env": b"EMBEDDER=tuned\n"}, "'tuned'"),
    ("run script.py", {".env": "EMBEDDER=tuned\n".encode("utf-16")}, "'tuned'"),
    ("demo --out folder", {"folder/x": b""}, "folder is not empty"),
    ("nothing", {}, "nothing"),
]  # fmt: skip


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}


@pytest.mark.parametrize("row", range(len(ROWS)), ids=lambda n: f"{n} {ROWS[n][0][:60]}")
def test_bad_input_is_refused_by_name_and_nothing_is_lost(place, row):
    line, files, said = ROWS[row]
    for name, content in files.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
    before = snapshot(place)
    code, out, err = call(line)
    assert code == 2, (code, out, err)
    assert said in err, err
    assert "Traceback" not in err
    assert "fault of dragon-finetune" not in err
    after = snapshot(place)
    assert {path: after.get(path) for path in before} == before
    made = [str(path.relative_to(place)) for path in after.keys() - before.keys()]
    assert not [name for name in made if not name.endswith(".lock")], made
