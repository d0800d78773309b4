"""The frame of every report: the HTML document, its sections and its titled charts."""

from html import escape

from handful.workflow.report_style import CSS


def page(title: str, body: list[str]) -> str:
    """A whole HTML document around ``body``; everything inline."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def figure(svg: str, title: str, caption: str = "") -> str:
    """A titled chart."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure><h3>{escape(title)}</h3>{svg}{below}</figure>"


def section(title: str, note: str, *content: str) -> str:
    """A titled block; empty when there is nothing in it."""
    inside = "".join(content)
    return f'<section><h2>{escape(title)}</h2><p class="note">{escape(note)}</p>{inside}</section>'
