"""A text with its topics marked, as HTML that holds no markup of the text's own."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

_CHARS_SHOWN = 600


def marked(text: str, topics: Sequence[str]) -> "Markup":
    """Return the text around its first topic, escaped, with every topic marked."""
    from markupsafe import Markup, escape

    pattern = re.compile("|".join(re.escape(topic) for topic in sorted(topics, key=len, reverse=True)), re.IGNORECASE)
    first = pattern.search(text)
    start = max(0, (first.start() if first else 0) - _CHARS_SHOWN // 3)
    shown = text[start : start + _CHARS_SHOWN]
    html, last = Markup("… " if start else ""), 0
    for match in pattern.finditer(shown):
        html += escape(shown[last : match.start()]) + Markup("<mark>{}</mark>").format(match[0])
        last = match.end()
    return html + escape(shown[last:]) + (" …" if start + _CHARS_SHOWN < len(text) else "")
