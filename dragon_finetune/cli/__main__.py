"""Lets `python -m dragon_finetune.cli` be the command."""

from dragon_finetune.cli.main import main

main()
