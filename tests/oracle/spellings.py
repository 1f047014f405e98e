"""What can be done to a signed token. All of it spoils it, but for the ECDSA twin."""

from collections.abc import Callable
from random import Random
from typing import Final

from tests.oracle.recipe import good_recipe
from tests.security.test_evaded_revocations import P256_ORDER, twin_of
from tests.simulator import b64, unb64

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def a_flipped_bit(random: Random, token: str) -> str:
    parts = token.split(".")
    at = random.randrange(len(parts))
    decoded = (
        bytearray(unb64(parts[at])) if set(parts[at]) <= set(ALPHABET) and len(parts[at]) % 4 != 1 else bytearray()
    )
    if decoded:
        bit = random.randrange(len(decoded) * 8)
        decoded[bit // 8] ^= 1 << bit % 8
    parts[at] = b64(bytes(decoded))
    return ".".join(parts)


def another_character(random: Random, token: str) -> str:
    at = random.randrange(len(token))
    return token[:at] + random.choice(ALPHABET + ".=+/ ") + token[at + 1 :]


def a_character_more(random: Random, token: str) -> str:
    at = random.choice([0, len(token), random.randrange(len(token))])
    return token[:at] + random.choice(["A", ".", "=", " ", "\n", "\t", "\0", "\u00e9", "\u200b", "+"]) + token[at:]


def a_character_less(random: Random, token: str) -> str:
    at = random.randrange(len(token))
    return token[:at] + token[at + 1 :]


def padding(random: Random, token: str) -> str:
    """As much as it takes to make a part's length a multiple of four, or too much, or too little."""
    parts = token.split(".")
    at = random.randrange(len(parts))
    parts[at] += "=" * random.choice([-len(parts[at]) % 4, -len(parts[at]) % 4, 1, 2, 3, 4])
    return ".".join(parts)


def spare_bits(random: Random, token: str) -> str:
    """Of the last character of a part; where its length leaves none, another character."""
    parts = token.split(".")
    at = random.randrange(len(parts))
    last = ALPHABET.find(parts[at][-1:])
    parts[at] = parts[at][:-1] + ALPHABET[(last + random.randrange(1, 4)) % 64]
    return ".".join(parts)


def parts_of_another(random: Random, token: str) -> str:
    parts, others = token.split("."), good_recipe(random).signed().split(".")
    at = random.randrange(3)
    return ".".join([*parts[:at], others[at], *parts[at + 1 :]])


def parts_moved(random: Random, token: str) -> str:
    parts = token.split(".")
    match random.randrange(4):
        case 0:
            random.shuffle(parts)
        case 1:
            parts.append(parts[-1])
        case 2:
            parts[random.randrange(len(parts))] = ""
        case _:
            parts.pop(random.randrange(len(parts)))
    return ".".join(parts)


def twin(random: Random, token: str) -> str:
    """The other ECDSA signature; of another algorithm's token nothing that verifies."""
    signature = token.rpartition(".")[2]
    if len(signature) != 86 or not set(signature) <= set(ALPHABET):
        return token
    s = int.from_bytes(unb64(signature)[32:], "big")
    return twin_of(token) if 0 < s < P256_ORDER else token


def another_signature(random: Random, token: str) -> str:
    unsigned, _, _ = token.rpartition(".")
    kinds = [b"", bytes(64), b"\xff" * 64, bytes(256), bytes(63), (bytes(31) + b"\1") * 2]
    kinds += [random.randbytes(64), random.randbytes(256)]
    return f"{unsigned}.{b64(random.choice(kinds))}"


def another_alphabet(random: Random, token: str) -> str:
    return token.translate(random.choice([{45: 43, 95: 47}, {45: 43}, {95: 47}]))


def another_case(random: Random, token: str) -> str:
    parts = token.split(".")
    at = random.randrange(len(parts))
    parts[at] = parts[at].swapcase()
    return ".".join(parts)


SPELLINGS: Final[list[Callable[[Random, str], str]]] = [
    a_flipped_bit, a_flipped_bit, another_character, a_character_more, a_character_less, *[padding] * 2, spare_bits,
    parts_of_another, parts_moved, *[twin] * 3, another_signature, another_alphabet, another_case,
]  # fmt: skip
