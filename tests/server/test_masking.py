"""`masking` alone: both forms do the same, and the fast one is there."""

import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.server import masking


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_both_forms_agree_with_the_definition(data: bytes, mask: bytes) -> None:
    """RFC 6455 §5.3: octet i of the payload is octet i of the data, XOR octet i mod 4 of the key."""
    expected = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
    assert masking.unmask(data, mask) == expected
    assert masking.unmask_with_integers(data, mask) == expected
    assert masking.unmask(memoryview(data), mask) == expected


@pytest.mark.skipif(platform.python_implementation() != "CPython", reason="the C function needs CPython")
def test_fast_form_is_that_of_websockets() -> None:
    """A release of `websockets` that moves its undocumented function must be noticed, not be slow in silence."""
    from websockets.speedups import apply_mask

    assert masking.unmask is apply_mask
