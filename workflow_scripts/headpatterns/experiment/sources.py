"""Where models and raw rows come from: the kinds of `source` that a config may name."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, StringConstraints, Tag

from headpatterns.experiment.fields import UNSTATED, Positive, RunName, Section, Text

MODEL_KINDS = ("pretraining", "path", "gguf", "hub", "model")
FINETUNED_KINDS = ("path", "gguf", "hub", "lora")
ADAPTER_KINDS = ("path", "hub")
ROW_KINDS = ("embedded", "path", "pinned", "hub")
HubName = Annotated[str, StringConstraints(pattern=r"^[^/]+/[^/]+$")]


class Pretrained(Section):
    """A checkpoint of a pretraining run of this config."""

    pretraining: str = Field(description="name of a pretraining run")
    step: Positive = Field(description="a step at which that run saves its weights")


class OnDisk(Section):
    """A folder in Hugging Face layout."""

    path: Text = Field(description="folder; environment variables are expanded")


class InGguf(Section):
    """A model in a GGUF file, of which the workflow makes a folder in Hugging Face layout."""

    gguf: Text = Field(description="file; environment variables are expanded")


class OnHub(Section):
    """A model of the Hugging Face hub."""

    hub: HubName = Field(description="ORGANISATION/NAME")
    revision: Text = Field(description="commit of the hub")


class AfterRun(Section):
    """A model of this config after a run: fine-tuning in two stages."""

    model: str = Field(description="name of a model")
    run: RunName = Field(description="name of a run of that model, GROUP.TASK.seedN or finetuned.NAME")


class AdapterOnDisk(Section):
    """A folder as PEFT saves an adapter."""

    path: Text = Field(description="folder with adapter_config.json; environment variables are expanded")


class AdapterOnHub(Section):
    """An adapter of the Hugging Face hub."""

    hub: HubName = Field(description="ORGANISATION/NAME")
    revision: Text = Field(description="commit of the hub")


class EmbeddedRows(Section):
    """A raw file of the embedded experiment."""

    embedded: str = Field(description="name of a generator")
    file: Text = Field(description="file that the generator writes")


class RowsOnDisk(Section):
    """Raw rows on the disk."""

    path: Text = Field(
        description="file, folder or glob: jsonl, json, csv, tsv, parquet, arrow; variables are expanded"
    )


class RowsPinned(Section):
    """Files of a dataset of config/datasets.csv."""

    pinned: Text = Field(description="name of a dataset in config/datasets.csv")
    files: Text = Field(description="one of its patterns of files in that table")


class RowsOnHub(Section):
    """A split of a dataset of the Hugging Face hub."""

    hub: Text = Field(description="name of the dataset")
    name: Text = Field(UNSTATED, description="its configuration")
    split: Text = Field(description="its split")
    revision: Text = Field(description="commit of the hub")

    @property
    def file(self) -> str:
        """The name of the file for its rows, without suffix."""
        parts = [self.hub.replace("/", "--"), self.name or "default", self.split, self.revision]
        return ".".join(part.replace("/", "-") for part in parts)


def _kind(kinds: tuple[str, ...], source: Any) -> str | None:
    """The kind of a source: the only one of the keys `kinds` that it has."""
    given = [kind for kind in kinds if (kind in source if isinstance(source, dict) else hasattr(source, kind))]
    return given[0] if len(given) == 1 else None


ModelSource = Annotated[
    Annotated[Pretrained, Tag("pretraining")]
    | Annotated[OnDisk, Tag("path")]
    | Annotated[InGguf, Tag("gguf")]
    | Annotated[OnHub, Tag("hub")]
    | Annotated[AfterRun, Tag("model")],
    Discriminator(lambda source: _kind(MODEL_KINDS, source), custom_error_type="kinds_of_models",
                  custom_error_message="a source has exactly one kind"),
]  # fmt: skip
AdapterSource = Annotated[
    Annotated[AdapterOnDisk, Tag("path")] | Annotated[AdapterOnHub, Tag("hub")],
    Discriminator(lambda source: _kind(ADAPTER_KINDS, source), custom_error_type="kinds_of_adapters",
                  custom_error_message="a source has exactly one kind"),
]  # fmt: skip


class InAdapter(Section):
    """An adapter (LoRA) of the base model, which the workflow merges into it."""

    lora: AdapterSource = Field(description="where the adapter is: path, or hub and revision")


FinetunedSource = Annotated[
    Annotated[OnDisk, Tag("path")]
    | Annotated[InGguf, Tag("gguf")]
    | Annotated[OnHub, Tag("hub")]
    | Annotated[InAdapter, Tag("lora")],
    Discriminator(lambda source: _kind(FINETUNED_KINDS, source), custom_error_type="kinds_of_finetuned",
                  custom_error_message="a source has exactly one kind"),
]  # fmt: skip
RowSource = Annotated[
    Annotated[EmbeddedRows, Tag("embedded")]
    | Annotated[RowsOnDisk, Tag("path")]
    | Annotated[RowsPinned, Tag("pinned")]
    | Annotated[RowsOnHub, Tag("hub")],
    Discriminator(lambda source: _kind(ROW_KINDS, source), custom_error_type="kinds_of_rows",
                  custom_error_message="a source has exactly one kind"),
]  # fmt: skip
