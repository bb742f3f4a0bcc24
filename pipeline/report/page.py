"""The frame of every page that winnow writes: one file, one style sheet that is named by its hash, and nothing else that runs or
loads.

The policy lets the browser apply that style sheet and no other, and fetch nothing: no script, no image from elsewhere, no
form, no frame. So a hole in the escaping of a text would still do nothing.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

from pipeline.text.visible import visible


def policy(style: str) -> str:
    """The Content-Security-Policy of a page with this style sheet (CSP Level 3: the hash of the text between its tags)."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def document(title: str, style: str, body: str) -> str:
    """A page.

    Args:
        title: as text.
        style: of the one style sheet; ASCII, and nobody's data.
        body: as HTML, every text in it escaped. Characters that hide, or turn the order of others, are made visible here.
    """
    return visible(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(style)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style></head><body>\n{body}\n</body></html>\n",
        keep="\n\t",
    )
