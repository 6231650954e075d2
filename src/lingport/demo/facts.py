"""What is true in the demo corpus: facts and names from CLDR (through babel), split by territory.

A territory's facts belong to one of train, validation and test, in every language alike. Not here: sentences.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import regex
from babel import Locale
from babel.core import get_global
from babel.numbers import get_currency_name

from lingport.demo.templates import LANGUAGES, sheet
from lingport.errors import InputError, UnknownNameError, nearest

SPLITS = ("train", "validation", "test")
# Relation -> the slot that its value fills in a template.
RELATIONS = {
    "language": "language",
    "currency": "currency",
    "continent": "continent",
    "zone": "city",
    "code": "code",
}
MONTHS = tuple(f"month:{number:02d}" for number in range(1, 13))
DAYS = tuple(f"day:{number}" for number in range(7))  # Monday is 0, as in babel

# Left out: dependent and disputed territories (the sentences say "country"), and codes that are no territory.
_LEFT_OUT = frozenset(
    """
    AC AI AQ AS AW AX BL BM BQ BV CC CK CP CQ CX CW DG EA EH EU EZ FK FO GF GG GI GL GP GS GU HK HM IC IM IO
    JE KY MF MO MP MQ MS NC NF NU PF PM PN PR PS QO RE SH SJ SX TA TC TF TK TW UM UN VG VI WF XA XB XK YT ZZ
    """.split()  # noqa: SIM905
)
_SOUTH_AMERICA = frozenset(("AR", "BO", "BR", "CL", "CO", "EC", "GY", "PE", "PY", "SR", "UY", "VE"))
# By the area of the time zone's name; the exceptions are where that area is an ocean or not what CLDR says.
_AREAS = {"Africa": "002", "Asia": "142", "Europe": "150", "Australia": "009", "Pacific": "009"}
_CONTINENTS = {"CV": "002", "KM": "002", "MG": "002", "MU": "002", "SC": "002", "MV": "142", "IS": "150"}
_CONTINENTS |= {"PT": "150", "ES": "150", "RU": "150", "CY": "142", "TR": "", "CL": "005", "EC": "005"}
# What CLDR says and is not so, or not any more: further official languages, the euro in Bulgaria (2026), a
# city whose naming takes sides, and islands where the sentences say "city".
_NOT_SO = frozenset(
    {(territory, "language") for territory in ("ET", "ME", "MK", "ZA")}
    | {("BG", "currency")}
    | {(territory, "zone") for territory in ("AG", "IL", "SB", "SC", "VU")}
)
_LATIN = ("cs", "de", "en", "es", "ro", "sk", "sl", "sw")
_STRANGE = regex.compile(r"[^\p{L}\p{M}\s'’\-\u00b7\u30fb\u200c\u200d]| - ")


@dataclass(frozen=True, order=True)
class Fact:
    """One true statement about a territory.

    Attributes:
        territory: ISO 3166 code.
        relation: A key of `RELATIONS`.
        value: The value's code, as `name` reads it: `EUR`, `sk`, `150`, `Europe/Bratislava`, `code:SK`.
    """

    territory: str
    relation: str
    value: str

    @property
    def slots(self) -> dict[str, str]:
        """The codes by template slot."""
        return {"territory": self.territory, RELATIONS[self.relation]: self.value}


@cache
def name(code: str, language: str) -> str:
    """Returns the name of a code as it is written inside a sentence of a language.

    Args:
        code: Territory `SK`, currency `EUR`, language `sk`, part of the world `150`, the city of a time zone
            `Europe/Bratislava`, `script:Latn`, `month:01`, `day:0`; `code:SK` and `number:3` stand for what
            follows the colon.
        language: One of the sixteen.

    Raises:
        UnknownNameError: CLDR has no such name.
    """
    kind, written = _raw_name(code, language)
    written = sheet(language).get("names", {}).get(kind, {}).get(code, written)
    if not written:
        raise UnknownNameError(f"no name of {code!r} in {language!r}", hint="codes are those of CLDR")
    return _cleaned(written, language)


@cache
def facts(split: str) -> list[Fact]:
    """Returns the facts of a split, sorted (shared: do not change it)."""
    return [fact for fact in _all_facts() if split_of(fact.territory) == _checked(split)]


def split_of(territory: str) -> str:
    """Returns the split that a territory belongs to, by a stable hash of the group it shares a name with."""
    digest = hashlib.sha256(f"lingport-demo-33:{_groups()[territory]}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "train" if share < 0.68 else "validation" if share < 0.80 else "test"


def territories(split: str) -> list[str]:
    """Returns the codes of the split's territories, sorted."""
    return sorted({fact.territory for fact in facts(split)})


@cache
def held_out_names(language: str, split: str) -> regex.Pattern[str]:
    """Returns a pattern that finds, as a whole word, a territory that may not be named in texts of a split.

    That is: in train those of validation and test, in validation those of test, in test none.
    """
    later = SPLITS[SPLITS.index(_checked(split)) + 1 :]
    names = [name(territory, language) for other in later for territory in territories(other)]
    return _word_pattern(names, language)


@cache
def lexicon(split: str) -> list[dict[str, str]]:
    """Returns names of one thing in all sixteen languages, one mapping a thing (shared: do not change it).

    Territories stand in their own split. A language, currency or city stands in the first split whose facts
    use it; what no fact uses, and scripts, months and weekdays, is train's. No entry of a split names a
    territory of a later one.
    """
    _checked(split)
    used: dict[str, str] = {}
    for other in SPLITS:
        for fact in facts(other):
            used.setdefault(fact.territory, other)
            if fact.relation != "code":
                used.setdefault(fact.value, other)
    codes = [code for code, other in used.items() if other == split]
    if split == "train":
        codes += [code for code in (*_common_codes(), *MONTHS, *DAYS) if code not in used]
    entries = []
    for code in sorted(set(codes)):
        entry = {language: name(code, language) for language in LANGUAGES}
        if not any(held_out_names(language, split).search(text) for language, text in entry.items()):
            entries.append(entry)
    return entries


def _checked(split: str) -> str:
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r} of the demo corpus", hint=nearest(split, SPLITS))
    return split


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(language)


def _raw_name(code: str, language: str) -> tuple[str, str | None]:
    locale = _locale(language)
    prefix, _, rest = code.partition(":")
    if rest:
        if prefix in ("code", "number"):
            return prefix, rest
        if prefix == "script":
            return prefix, locale.scripts.get(rest)
        # Weekdays in their `format` form: babel 2.18 resolves the alias of the stand-alone form once for all
        # locales, so that Urdu has Swahili days when Swahili was asked first. The forms do not differ.
        table = locale.months["stand-alone"] if prefix == "month" else locale.days["format"]
        return prefix, table["wide"].get(int(rest))
    if "/" in code:
        return "city", _city(code, locale)
    if code.islower() or "_" in code:
        return "language", locale.languages.get(code)
    if len(code) == 3 and code.isalpha():
        # The counting form is the one for running text; the display name has capitals in some languages.
        return "currency", get_currency_name(code, count=1, locale=locale) if code in locale.currencies else None
    return ("continent" if code.isdigit() else "territory"), locale.territories.get(code)


def _city(zone: str, locale: Locale) -> str | None:
    # CLDR knows some zones under an older identifier only (Asia/Calcutta).
    older = (old for old, new in get_global("zone_aliases").items() if new == zone)
    for code in (zone, *sorted(older)):
        if city := locale.time_zones.get(code, {}).get("city"):
            return city
    # In Latin script CLDR leaves out the cities that are written as in the identifier.
    return zone.rpartition("/")[2].replace("_", " ") if locale.language in _LATIN else None


def _codes(table: Iterable[object]) -> list[str]:
    """The keys of one of babel's tables, as text (babel types them loosely)."""
    return sorted(key for key in table if isinstance(key, str))


def _cleaned(written: str, language: str) -> str:
    written = regex.sub(r"\s*[(\uff08\[].*?[)\uff09\]]", "", written)
    if language == "en":
        written = written.replace("&", "and")
    return " ".join(written.split())


def _usable(codes: Iterable[str]) -> set[str]:
    """The codes whose names are ordinary words in every language and no two of which share a name."""
    kept = set()
    for code in codes:
        try:
            names = [name(code, language) for language in LANGUAGES]
        except UnknownNameError:
            continue
        foreign = any(
            regex.search(r"\p{Latin}", text)
            for language, text in zip(LANGUAGES, names, strict=True)
            if language not in _LATIN
        )
        if not foreign and not any(not text or _STRANGE.search(text) or text == code for text in names):
            kept.add(code)
    for language in LANGUAGES:
        owners = defaultdict(set)
        for code in kept:
            owners[name(code, language).casefold()].add(code)
        for same in owners.values():
            if len(same) > 1:
                # CLDR names rare languages after well-known ones: the one that facts need keeps the name.
                needed = same & _needed()
                kept -= same - needed if len(needed) == 1 else same
    return kept


@cache
def _needed() -> frozenset[str]:
    places = _country_codes()
    return frozenset(value for place in places for value in (*_language(place), *_currency(place)))


def _country_codes() -> list[str]:
    return [code for code in _codes(_locale("en").territories) if len(code) == 2 and code not in _LEFT_OUT]


@cache
def _usable_territories() -> tuple[str, ...]:
    return tuple(sorted(_usable(_country_codes())))


@cache
def _common_codes() -> tuple[str, ...]:
    """Languages, currencies and scripts that have an ordinary name in all sixteen languages."""
    locale = _locale("en")
    return tuple(
        sorted(
            _usable(code for code in _codes(locale.languages) if "_" not in code)
            | _usable(code for code in _codes(locale.currencies) if len(code) == 3)
            | _usable(f"script:{code}" for code in _codes(locale.scripts))
        )
    )


@cache
def _all_facts() -> tuple[Fact, ...]:
    places = _usable_territories()
    common = set(_common_codes())
    found: list[Fact] = []
    for territory in places:
        found.append(Fact(territory, "code", f"code:{territory}"))
        found += [Fact(territory, "language", code) for code in _language(territory) if code in common]
        found += [Fact(territory, "currency", code) for code in _currency(territory) if code in common]
        found += [Fact(territory, "continent", code) for code in _continent(territory)]
    zones = {territory: zone for territory in places for zone in _zone(territory)}
    good = _usable(zones.values())
    for territory, zone in zones.items():
        # A city that bears its country's name would make the sentence say nothing.
        telling = all(name(territory, language) not in name(zone, language) for language in LANGUAGES)
        if zone in good and telling:
            found.append(Fact(territory, "zone", zone))
    return tuple(sorted(fact for fact in found if (fact.territory, fact.relation) not in _NOT_SO))


def _language(territory: str) -> Iterator[str]:
    """The official language, where CLDR knows exactly one (scripts and variants counted together)."""
    spoken = get_global("territory_languages").get(territory, {})
    official = {code.partition("_")[0] for code, row in spoken.items() if row["official_status"] in _OFFICIAL}
    if len(official) == 1:
        yield official.pop()


_OFFICIAL = ("official", "de_facto_official")


def _currency(territory: str) -> Iterator[str]:
    """The currency, where exactly one is legal tender without an end date."""
    rows = get_global("territory_currencies").get(territory, [])
    current = [code for code, _, end, tender in rows if end is None and tender]
    if len(current) == 1:
        yield current[0]


def _zone(territory: str) -> Iterator[str]:
    zones = get_global("territory_zones").get(territory, [])
    if len(zones) == 1:
        yield zones[0]


def _continent(territory: str) -> Iterator[str]:
    area = get_global("territory_zones")[territory][0].partition("/")[0]
    america = "005" if territory in _SOUTH_AMERICA else "003"
    code = _CONTINENTS.get(territory, america if area == "America" else _AREAS.get(area, ""))
    if code:
        yield code


@cache
def _groups() -> dict[str, str]:
    """Territories whose names contain one another in some language (Guinea, Guinea-Bissau) share a group."""
    places = _usable_territories()
    group = {territory: territory for territory in places}
    for language in LANGUAGES:
        for inner in places:
            pattern = _word_pattern([name(inner, language)], language)
            for outer in places:
                if outer != inner and pattern.search(name(outer, language)):
                    old, new = sorted((group[inner], group[outer]), reverse=True)
                    group = {place: new if own == old else own for place, own in group.items()}
    return group


def _word_pattern(names: list[str], language: str) -> regex.Pattern[str]:
    if not names:
        return regex.compile(r"(?!)")
    choices = "|".join(regex.escape(text) for text in sorted(names, key=len, reverse=True))
    if sheet(language).get("split") == "characters":
        return regex.compile(choices)
    return regex.compile(rf"(?<!\w)(?:{choices})(?!\w)", flags=regex.IGNORECASE)
