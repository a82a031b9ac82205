"""What the CPU has is told, and a limit in the environment is kept by OpenVINO too."""

import os
import subprocess
import sys

import pytest

from dragon_finetune.embedding.instruction_sets import LIMITS, instruction_set

STEPS = ["other", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "avx512_bf16", "amx"]
EMBED = """
from dragon_finetune import FineTunedEmbedder
FineTunedEmbedder({model!r}, device="cpu", engine="openvino", precision="fp32").embed_query("who")
"""


def test_what_this_cpu_has_is_a_known_step(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert instruction_set() in STEPS


@pytest.mark.parametrize("isa", LIMITS)
@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_a_limit_takes_away_and_adds_nothing(monkeypatch, isa, name):
    native = instruction_set()
    monkeypatch.setenv(name, LIMITS[isa].lower())
    assert STEPS.index(instruction_set()) <= min(STEPS.index(isa), STEPS.index(native))


def test_a_limit_that_nobody_knows_limits_nothing(monkeypatch):
    native = instruction_set()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "ALL")
    assert instruction_set() == native


@pytest.mark.skipif(instruction_set() == "other", reason="this CPU has no AVX2")
def test_openvino_keeps_to_it(tiny, tmp_path):
    limits = {"ONEDNN_MAX_CPU_ISA": LIMITS["avx2"], "ONEDNN_VERBOSE": "profile_create"}
    environment = {**os.environ, **limits, "DRAGON_FINETUNE_CACHE": str(tmp_path)}
    code = EMBED.format(model=str(tiny))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    said = [line for line in done.stdout.splitlines() if ",cpu,isa:" in line]
    assert said
    assert all(line.endswith("isa:Intel AVX2") for line in said)


def test_embed_says_with_which_instructions(cli, tiny, write_jsonl):
    line = ("embed", write_jsonl("chunks.jsonl", [{"text": "The bell rang."}]), "-m", tiny, "--precision", "fp32")
    assert f"(openvino-fp32 on {instruction_set()})" in cli(*line, "--out", "a").stdout
    assert "(torch-fp32)" in cli(*line, "--out", "b", "--engine", "torch").stdout
