"""How many tokens a text has: by a model's tokenizer where there is one, else by a stated estimate."""

import re
from collections.abc import Callable

from hive.errors import SettingsError

#: Counts the tokens of a text.
TokenCounter = Callable[[str], int]

#: What tokenizers of today's models cut first: words with the space before them, up to three digits, runs of signs.
_PARTS = re.compile(r" ?[^\W\d_]+|\d{1,3}| ?[^\w\s]+|_|\s+")

#: Letters of a word that are one token, about: common words are one, rare ones and identifiers are several.
_LETTERS = 7


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text is to a model.

    It cuts as byte pair tokenizers do before they merge, counts one for every begun seven letters of a word, one for every
    three digits and one for every two signs.

    Warning:
        It is an estimate: it knows no vocabulary, and is low for languages written without Latin letters.
    """
    count = 0
    for part in _PARTS.findall(text):
        bare = part.strip()
        if not bare:
            count += 1 if part != " " else 0
        elif bare[0].isalpha():
            count += -(-len(bare) // _LETTERS)
        elif bare[0].isdigit():
            count += 1
        else:
            count += -(-len(bare) // 2)
    return count


def token_counter(model: str | None = None) -> TokenCounter:
    """Return what counts tokens as a model does.

    Args:
        model: its name as ``tiktoken`` knows it; ``None``: the estimate.

    Raises:
        SettingsError: ``tiktoken`` or the model's vocabulary is not here; hive never estimates where a model was named.
    """
    if model is None:
        return estimated_tokens
    try:
        import tiktoken  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise SettingsError("counting by a model needs tiktoken: pip install tiktoken") from error
    try:
        encoding = tiktoken.encoding_for_model(model)
    except (KeyError, OSError) as error:
        raise SettingsError(f"the vocabulary of {model!r} cannot be read, say None to estimate: {error}") from error
    return lambda text: len(encoding.encode(text, disallowed_special=()))
