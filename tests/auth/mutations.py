"""Texts that are no tokens, and right tokens with something changed."""

from __future__ import annotations

import string
from base64 import urlsafe_b64decode

from hypothesis import strategies as st

from tests.auth.keys import unsigned

__all__ = ("mutated", "tokens_of_no_one")

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_HEADERS = st.fixed_dictionaries(
    {"alg": st.sampled_from(["HS256", "RS256", "none", "HS512", "PS256", "", None])},
    optional={"typ": _JSON, "kid": _JSON, "crit": _JSON, "b64": st.booleans(), "jwk": _JSON, "cty": _JSON},
)
_CLAIMS = st.fixed_dictionaries(
    {"sub": st.just("ada") | _JSON, "exp": st.integers(4 * 10**9, 10**10) | _JSON},
    optional={"nbf": _JSON, "iat": _JSON, "aud": _JSON, "iss": _JSON, "jti": _JSON},
)


def tokens_of_no_one() -> st.SearchStrategy[str]:
    """Texts of any kind, and of a token's shape with any content, which nobody has signed."""
    return st.one_of(
        st.text(max_size=200),
        st.text(string.ascii_letters + string.digits + "-_.=", max_size=200),
        st.builds(unsigned, _HEADERS | _JSON, _CLAIMS | _JSON, st.binary(max_size=64)),
        st.builds(unsigned, st.binary(max_size=64), st.binary(max_size=64), st.binary(max_size=64)),
    )


@st.composite
def mutated(draw: st.DrawFn, right: str) -> str:
    """Return a token in which something is different that a signature covers, or the signature itself."""
    kind = draw(st.sampled_from(("character", "cut", "insert", "swap", "strip", "case")))
    at = draw(st.integers(0, len(right) - 1))
    text = right
    if kind == "character":
        text = right[:at] + draw(st.characters()) + right[at + 1 :]
    elif kind == "cut":
        text = right[:at] + right[at + draw(st.integers(1, 50)) :]
    elif kind == "insert":
        text = right[:at] + draw(st.text(min_size=1, max_size=5)) + right[at:]
    elif kind == "swap":
        parts = right.split(".")
        text = ".".join(draw(st.permutations(parts)))
    elif kind == "strip":
        text = right.rpartition(".")[0] + "."
    else:
        text = right.swapcase()
    # What decodes to the same bytes is the same token, such as one with padding.
    return text if _decoded(text) != _decoded(right) else ""


def _decoded(text: str) -> list[bytes]:
    found = []
    for part in text.split("."):
        stripped = part.rstrip("=").encode("utf-8", "surrogatepass")
        try:
            found.append(urlsafe_b64decode(stripped + b"=" * (-len(stripped) % 4)))
        except ValueError:
            found.append(stripped)
    return found
