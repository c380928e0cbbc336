"""Members of a consortium join in many of these tests."""

from support.quick_words import quick_words

__all__ = ["quick_words"]
