"""What a recipe may say about data: where raw text and labelled examples come from, and how they are written.

Only settings and where their files lie; reading the files is `lingport.data`'s job.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lingport.config.catalogue import source_settings
from lingport.config.paths import PLACEHOLDER, locate, require_some_language, search_folders
from lingport.errors import DataError, nearest

_HUB_SETTINGS = {"name", "config", "revision"}
_FILE_SETTINGS = {"paths", "member", "name", "revision"}
_TAG_SETTINGS = {"scheme", "repair", "tag_map", "tags", "joiner"}
_LABEL_SETTINGS = {"label_map", "labels", "labels_path"}
_ANSWER_SETTINGS = {"check_offsets", "blank_answers", "answerable_only", "merge_answers"}
_ROW_SETTINGS = {"separator", "quoting", "header"}
_EVERY_SETTING = {"format", "limit", "seed", "slice", "skip_empty", "dataset", "folder", "base_folders"}
SETTINGS_OF_FORMAT: dict[str, set[str]] = {
    "squad": _FILE_SETTINGS | _ANSWER_SETTINGS,
    "columns": _FILE_SETTINGS
    | _ROW_SETTINGS
    | _TAG_SETTINGS
    | {"token_column", "tag_column", "group_by", "comment", "token_prefix"},
    "spans": _FILE_SETTINGS | _TAG_SETTINGS | {"columns", "check_offsets"},
    "xnli": _FILE_SETTINGS | _LABEL_SETTINGS | {"columns"},
    "table": _FILE_SETTINGS | _ROW_SETTINGS | _LABEL_SETTINGS | _ANSWER_SETTINGS | {"columns"},
    "lines": _FILE_SETTINGS - {"member"} | _LABEL_SETTINGS - {"labels_path"} | _ANSWER_SETTINGS | {"columns"},
    "hub": _HUB_SETTINGS | _TAG_SETTINGS | _LABEL_SETTINGS | _ANSWER_SETTINGS | {"columns", "split"},
    "demo": {"name", "split"},
}


class _Source(BaseModel):
    """What raw text and examples share: files, archives, the hub."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str | None = Field(
        default=None,
        description="A data set of the catalogue (`lingport data list`): its name, and for examples the split "
        "(`xnli/test`). Its settings are taken unless they are given here.",
    )
    folder: str | None = Field(
        default=None, description="Where the files of a `dataset` that a user must bring lie. None: data/<dataset>."
    )
    paths: list[str] = Field(
        default=[],
        description="Paths or glob patterns (a str counts as one; `path` is accepted), read in this order; "
        "{language}, {flores} and {english} stand for the language's code, FLORES code and English name.",
    )
    member: str | None = Field(
        default=None,
        description="Which files of a zip or tar archive to read: a name or glob pattern. None: all of them.",
    )
    name: str | None = Field(
        default=None,
        description="hub: the data set's name on the Hugging Face hub, or a local folder in its layout; demo: the "
        "task; else: `paths` are files of the data set of this name on the hub.",
    )
    config: str | None = Field(default=None, description="hub: the data set's configuration.")
    revision: str | None = Field(
        default=None,
        description="hub: commit, tag or branch of the data set. What is no commit is looked up once, and the commit "
        "kept and recorded. None: the main branch.",
    )
    base_folders: list[str] = Field(
        default=[],
        description="Folders that relative paths are looked for in. Empty: where you are, and where the recipe lies.",
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_short_forms(cls, value: Any) -> Any:
        if isinstance(value, (str, Path)) or (isinstance(value, list) and cls is TextSource):
            return {"paths": value}
        if isinstance(value, dict) and "path" in value and "paths" not in value:
            value = {("paths" if key == "path" else key): item for key, item in value.items()}
        if isinstance(value, dict) and isinstance(value.get("dataset"), str):
            value = {**source_settings(value["dataset"], folder=value.get("folder")), **value}
        return value

    @field_validator("paths", mode="before")
    @classmethod
    def _accept_one_path(cls, value: Any) -> Any:
        if isinstance(value, (str, Path)):
            return [str(value)]
        return [str(item) if isinstance(item, Path) else item for item in value] if value else value

    def _require_place(self, format_name: str) -> None:
        remote = format_name in ("hub", "demo")
        if not remote and not self.paths:
            raise ValueError(f"format {format_name} needs `paths`")
        if remote and self.paths:
            raise ValueError(f"format {format_name} takes no `paths`")
        if format_name == "hub" and not self.name:
            raise ValueError("format hub needs `name`, the data set's name on the hub")
        if self.folder is not None and self.dataset is None:
            raise ValueError("`folder` says where the files of a `dataset` lie; other files are named by `paths`")

    def resolve(self, base: Path | None = None) -> Self:
        """Returns a copy whose paths are absolute, glob patterns expanded.

        Left as they are: paths on the hub, paths with a placeholder (which are looked for anew in each language), and
        files of the catalogue that are not there, since a plan can be made without them.

        Args:
            base: A second place to look for relative paths, after the working directory.

        Raises:
            DataError: A file is in neither place.
        """
        folders = self.base_folders or search_folders(base)
        paths = [path for pattern in self.paths for path in self._resolved(pattern, folders)]
        return self.model_copy(update={"paths": paths, "base_folders": folders})

    def _resolved(self, pattern: str, folders: list[str]) -> list[str]:
        if self.name is not None:
            return [pattern]
        try:
            if not PLACEHOLDER.search(pattern):
                return [str(path) for path in locate(pattern, folders=folders)]
            require_some_language(pattern, folders)
        except DataError:
            if self.dataset is None:
                raise
        return [pattern]


class TextSource(_Source):
    """Raw text of one language, as files, from the hub, or from the demo corpus.

    A plain path or a list of paths may stand for the whole source.
    """

    format: Literal["file", "hub", "demo"] = Field(
        default="file",
        description="file: .txt or .jsonl, plain, .xz, .gz, .bz2 or in an archive; hub; demo.",
    )
    unit: Literal["sentence", "document"] = Field(
        default="sentence", description="What one line (or one record) holds."
    )
    field: str = Field(
        default="text", min_length=1, description="Key of the text in a .jsonl record; column on the hub."
    )
    hub_split: str = Field(default="train", description="format hub: the published split to read from.")
    split: Literal["train", "validation"] | None = Field(
        default=None, description="Which side of our own division to give back. None: everything."
    )
    validation: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Share (0 to 1) of texts held out, by a hash of the text, so equal texts fall together.",
    )
    num_train: int | None = Field(
        default=None,
        ge=1,
        description="Exact number of texts for training, drawn by hash. None: all the rest.",
    )
    num_validation: int | None = Field(
        default=None,
        ge=1,
        description="Exact number of texts held out, drawn by hash; not with `validation`.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="At most so many texts (lines or documents) of the split, the first."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._require_place(self.format)
        if self.validation and (self.num_validation or self.num_train):
            raise ValueError("give `validation` (a share) or `num_train`/`num_validation` (numbers), not both")
        if self.split == "validation" and not (self.validation or self.num_validation or self.format == "demo"):
            raise ValueError("split validation needs `validation` (a share) or `num_validation` (a number)")
        return self


class ExampleSource(_Source):
    """Labelled examples of one task in one language."""

    format: Literal["squad", "columns", "spans", "xnli", "table", "lines", "hub", "demo"] = Field(
        description="squad: SQuAD JSON; columns: a token a line (IOB2, CoNLL); spans: JSON with tokens and tags or "
        "spans; xnli: premise, hypothesis, label; table: CSV, TSV, JSON with columns; lines: each field in a file of "
        "its own, line by line; hub; demo."
    )
    split: str | None = Field(default=None, description="hub and demo: the published split to read.")
    limit: int | None = Field(default=None, ge=1, description="At most so many examples. None: all.")
    seed: int | None = Field(
        default=None, ge=0, description="Draws the `limit` examples at random. None: the first ones are kept."
    )
    slice: tuple[float, float] | None = Field(
        default=None,
        description="Keeps examples whose content hash falls in [from, to) of 0 to 1: [0, 0.9] and [0.9, 1] "
        "divide one file; examples with the same context (or first text) stay together.",
    )
    skip_empty: bool = Field(
        default=False,
        description="Leaves out (and counts) examples with an empty text, and empty tokens, instead of refusing them.",
    )

    separator: str | None = Field(
        default=None,
        description="Between columns: tab, space (any run of blanks), comma, semicolon, or one character. "
        "None: by the file's ending and first line.",
    )
    quoting: bool | None = Field(
        default=None,
        description="Whether fields may stand in CSV quotes. None: only with commas or semicolons.",
    )
    header: bool | None = Field(
        default=None,
        description="Whether the first row names the columns. None: as the column settings need it.",
    )
    columns: dict[str, str | int] = Field(
        default={},
        description="Field of the example -> column: its name, or its number from 0 (negative from the end). "
        "Empty: every column under its own name.",
    )
    token_column: str | int | None = Field(
        default=None,
        description="columns: where the token is. None: the first column that is no word counter.",
    )
    tag_column: str | int | None = Field(
        default=None, description="columns: where the tag is. None: the last column that looks like IOB tags."
    )
    group_by: list[str | int] = Field(
        default=[],
        description="columns: rows equal in these columns are one sentence. Empty: blank lines divide.",
    )
    comment: str | None = Field(default="# ", description="columns: how comment lines begin. None: there are none.")
    token_prefix: str | None = Field(
        default=None,
        description="columns: text before every token, taken off (`sk:`). None: the language's code and a "
        "colon, if every token has it. Empty: nothing.",
    )
    scheme: Literal["iob2", "iob1", "bioes"] = Field(
        default="iob2",
        description="iob2: B- starts an entity; iob1: B- only between two alike; bioes: also BILOU.",
    )
    repair: bool = Field(
        default=False, description="Accepts tags out of order (I- without B-) as the start of an entity."
    )
    tag_map: dict[str, str | None] = Field(
        default={},
        description='Renames entity types; null drops one; "*" stands for all that are not listed.',
    )
    tags: list[str] = Field(default=[], description="Entity types allowed after `tag_map`. Empty: any.")
    label_map: dict[str, str | None] = Field(
        default={},
        description="Label in the file -> label of the task; null leaves the row out. Empty: as they are.",
    )
    labels: list[str] = Field(default=[], description="Labels allowed after `label_map`. Empty: any.")
    labels_path: str | None = Field(
        default=None, description="File with one label a line, in the order of the rows (XTREME's layout)."
    )
    joiner: str | None = Field(
        default=None,
        description="Between the tokens of a sentence and of an entity. None: nothing in a language that is written "
        "without spaces (Chinese, Japanese, Thai, ...), a space in others.",
    )
    check_offsets: bool = Field(
        default=True,
        description="Refuses answers (or spans) that are not where they claim to be. False: the text counts.",
    )
    blank_answers: Literal["refuse", "unanswerable", "skip"] = Field(
        default="refuse", description="What an empty gold answer means; files without gold answers hold them."
    )
    answerable_only: bool = Field(
        default=False, description="Leaves out (and counts) questions that have no answer, as the paper does."
    )
    merge_answers: bool = Field(
        default=False, description="Rows with the same id are one question; their answers are put together."
    )

    @field_validator("label_map", "tag_map", mode="before")
    @classmethod
    def _keys_as_text(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if any(isinstance(item, bool) for pair in value.items() for item in pair):
            raise ValueError('YAML reads Yes, No, on and off as true and false: put them in quotes, "Yes"')
        return {str(key): str(item) if isinstance(item, int) else item for key, item in value.items()}

    @field_validator("slice")
    @classmethod
    def _slice_is_a_range(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0.0 <= value[0] < value[1] <= 1.0:
            raise ValueError("slice is [from, to) with 0 <= from < to <= 1")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        allowed = SETTINGS_OF_FORMAT[self.format] | _EVERY_SETTING
        fields = type(self).model_fields
        for setting in sorted(self.model_fields_set - allowed):
            if getattr(self, setting) != fields[setting].default:  # a saved recipe holds every setting
                raise ValueError(f"`{setting}` means nothing with format {self.format}; {nearest(setting, allowed)}")
        self._require_place(self.format)
        if self.format in ("hub", "demo") and not self.split:
            raise ValueError(f"format {self.format} needs `split`, for example split: test")
        if self.seed is not None and self.limit is None:
            raise ValueError("`seed` draws `limit` examples: give `limit` too")
        return self

    def resolve(self, base: Path | None = None) -> Self:
        """Returns a copy whose paths (`labels_path` too) are absolute, glob patterns expanded.

        Raises:
            DataError: A file is neither in the working directory nor in `base`.
        """
        resolved = super().resolve(base)
        if self.labels_path is None:
            return resolved
        (path,) = self._resolved(self.labels_path, resolved.base_folders)
        return resolved.model_copy(update={"labels_path": path})
