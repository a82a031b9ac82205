"""What is printed is encoded for its medium: a terminal, a pipe, JSON, markdown, SVG."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.evaluation.markdown import cell
from dragon_finetune.evaluation.svg import svg, write
from dragon_finetune.text import printable

COMMAND = Path(sys.executable).with_name("dragon-finetune")
ESCAPES = "\x1b[31mred\x1b]0;title\x07 \x9b2J \x00 \u202e \r hidden"


@given(st.text())
def test_printable_text_moves_no_terminal_and_keeps_what_a_reader_sees(text):
    shown = printable(text)
    assert not any(each in shown for each in "\x1b\x07\x00\r\x9b\u202e")
    assert printable("Où est “la cloche”?\n\tdort") == "Où est “la cloche”?\n\tdort"
    assert printable(shown) == shown


def test_escapes_in_texts_do_not_reach_the_terminal(cli, tiny, write_jsonl):
    write_jsonl("chunks.jsonl", [{"text": ESCAPES}, {"text": f"{ESCAPES} again", "source": ESCAPES}])
    done = cli("audit", "chunks.jsonl", "--model", tiny)
    assert "red" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\x9b" not in done.stdout
    assert json.loads(cli("audit", "chunks.jsonl", "--model", tiny, "--json").stdout)
    write_jsonl("bad.jsonl", [{"query": ESCAPES, "positive_text": 7}])
    done = cli("train", "bad.jsonl", "--base-model", f"x{ESCAPES.replace(chr(0), '')}", "--output", "out")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", pytest.param("utf-8", marks=pytest.mark.thorough)])
def test_a_narrow_stdout_loses_characters_and_not_the_command(cli, tiny, write_jsonl, encoding):
    write_jsonl("chunks.jsonl", [{"text": "Где колокол? 鐘 ▇"}])
    done = subprocess.run(
        [COMMAND, "audit", "chunks.jsonl", "--model", tiny],
        cwd=write_jsonl("x.jsonl", []).parent,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert b"1 texts" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="a shell's pipe")
def test_a_closed_pipe_is_no_fault(tiny, write_jsonl):
    file = write_jsonl("chunks.jsonl", [{"text": f"bell {n}"} for n in range(50)])
    line = f"{COMMAND} audit {file} --model {tiny} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert "Token audit" in done.stdout
    assert "fault" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} plugins --json | true"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


PRINTING = {
    "plugins": "plugins",
    "audit of what is too long": "audit long.jsonl --model tiny --json",
    "help": "--help",
    "wrong use": "embed long.jsonl --model tiny --out out --replace",
    "bad input": "audit nothing.jsonl --model tiny",
    "explain": "run --explain -m json.tool",
    "chunk": "chunk chunks.jsonl out.jsonl --model tiny",
}
ENDS = {
    "stdout is not read": "| true",
    "nothing is read": "2>&1 | true",
    "stdout is closed": ">&-",
    "stderr is closed": ">/dev/null 2>&-",
    "both are closed": ">&- 2>&-",
    "all are closed": "<&- >&- 2>&-",
}


@pytest.mark.skipif(os.name != "posix", reason="a shell's redirections")
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.thorough] * (name in ("bad input", "chunk"))) for name in PRINTING]
)
def test_whoever_stops_reading_changes_no_answer(tiny, write_jsonl, name):
    folder = write_jsonl("chunks.jsonl", [{"text": f"bell {n}"} for n in range(50)]).parent
    write_jsonl("long.jsonl", [{"text": "bell " * 200}])
    (folder / "tiny").symlink_to(tiny)

    def code_of(redirected, **environment):
        line = f"{COMMAND} {PRINTING[name]} {redirected}; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        for word in ("fault", "BrokenPipe", "Traceback", "Exception ignored", "lost sys.stderr"):
            assert word not in done.stderr + done.stdout
        return done.returncode

    plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    answer = code_of("", **plain)
    # How streams end is one piece of code: the first command tries all ends, the others those that are like none.
    ends = ENDS if name == next(iter(PRINTING)) else {end: ENDS[end] for end in ("nothing is read", "all are closed")}
    assert {end: code_of(how, **plain) for end, how in ends.items()} == dict.fromkeys(ends, answer)
    assert code_of("| true", **plain, PYTHONUNBUFFERED="1") == answer


@pytest.mark.parametrize(
    "text", ["a | b", "<script>x</script>", "![i](http://x)", "[l](http://x)", "a\nb", "`c`", "*b*"]
)
def test_a_cell_of_a_markdown_table_holds_no_markup(text):
    shown = cell(text)
    assert "\n" not in shown
    for mark in ("|", "<", "[", "`", "*"):
        assert mark not in shown.replace(f"\\{mark}", "")


def test_texts_in_a_picture_are_no_markup():
    from xml.etree import ElementTree

    hostile = '</text><script>x</script> & "quoted"'
    picture = ElementTree.fromstring(svg(10, hostile, [write(0, 0, hostile)]))
    assert picture.get("aria-label") == hostile
    assert [each.text for each in picture] == [hostile, hostile]
