"""A model over HTTP, as Ollama and OpenAI speak it, and a page to try it."""
