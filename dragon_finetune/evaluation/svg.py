"""SVG's shapes, in the classes that the page colours."""

from collections.abc import Sequence

WIDTH = 640
LEFT = 170  # room for the names of rows


def svg(height: float, title: str, parts: Sequence[str]) -> str:
    """Return a picture with a title that a screen reader reads."""
    body, title = "".join(parts), escape(title)
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{title}"><title>{title}</title>{body}</svg>'


def write(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    """Return a text at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Return a line between two places."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def dot(x: float, y: float, kind: str) -> str:
    """Return a dot at a place."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{kind}"/>'


def escape(text: str) -> str:
    """Return the text with what is markup in XML escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
