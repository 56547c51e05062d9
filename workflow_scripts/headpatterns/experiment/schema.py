"""Every key of a config, with its type, its meaning and its unit.

The JSON schema for editors (config/schema.json) and the table of keys (docs/config.md) are made from these models. The
keys below `studies` belong to the studies, each of which brings a model of its own.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from headpatterns.experiment.fields import (
    UNSTATED,
    Change,
    Dtype,
    ModelValue,
    Moves,
    Name,
    Natural,
    Normalisation,
    PaperModel,
    Positive,
    Reduction,
    Reductions,
    Scoring,
    Section,
    Seed,
    Seeds,
    Selection,
    Share,
    Steps,
    Text,
    Weighting,
)
from headpatterns.experiment.places import Cluster, Plan, Size
from headpatterns.experiment.recipes import Finetuning, OwnRecipe, PretrainingRecipe
from headpatterns.experiment.sources import FinetunedSource, ModelSource, RowSource
from headpatterns.models import architectures


class RowCounts(Section):
    """Rows of a generator where they differ from the common numbers."""

    train: Positive = Field(UNSTATED, description="rows of a training file")
    test: Positive = Field(UNSTATED, description="rows per test file")


class Embedded(Section):
    """The raw files of the embedded experiment; no model or dataset of your own uses them."""

    seed: Seed = Field(description="seed of all raw files and of the corpus")
    train: Positive = Field(description="rows per training file; a selection by tags counts as a file")
    test: Positive = Field(description="rows per test file")
    sizes: dict[str, RowCounts] = Field(description="other numbers of rows, by generator")
    tokens: int = Field(ge=2, description="mean number of tokens per sample or document; only the plan uses it")
    documents: Positive = Field(description="number of documents in the pretraining corpus")
    vocabulary: int = Field(
        ge=300, description="vocabulary size of the byte-level BPE tokenizer that is trained on the corpus"
    )

    def rows(self, generator: str) -> dict[str, int]:
        """Rows that a generator writes, by train and test."""
        own = self.sizes.get(generator)
        return {"train": self.train, "test": self.test, **(own.model_dump(exclude_unset=True) if own else {})}


class Architecture(Section):
    """Fields of a transformers config; the library knows them, and the vocabulary is filled in."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model_type: str = Field(description="architecture of transformers: llama, gemma, opt, ...")

    @model_validator(mode="after")
    def _has_sizes(self) -> Self:
        if said := architectures.problem(self.model_extra or {}):
            raise PydanticCustomError("size", "{said}", {"said": said})
        return self


class Pretraining(Section):
    """A pretraining run of an embedded base model."""

    architecture: Architecture = Field(description="model_type and fields of its transformers config")
    steps: Positive = Field(description="optimizer steps")
    checkpoint_steps: Steps = Field(description="steps at which the weights are saved; the last step is always saved")

    @property
    def kept(self) -> list[int]:
        """Steps at which the run keeps its weights, ascending."""
        return sorted({step for step in self.checkpoint_steps if step < self.steps} | {self.steps})


class ModelSize(Section):
    """The size of a model, which the plan uses until the model's files are here."""

    parameters: Positive = Field(description="of the whole model")
    layers: Positive = Field(description="decoder layers")
    heads: Positive = Field(description="query heads per layer")
    width: Positive = Field(description="query heads × head size")
    hidden: Positive = Field(
        UNSTATED, description="width of the hidden states; if it is missing, that of all query heads"
    )
    bytes: Positive = Field(
        UNSTATED, description="bytes of the model's files; if it is missing, two bytes per parameter"
    )
    source: Text = Field(UNSTATED, description="where these figures come from")


class Model(Section):
    """A base model."""

    label: Text = Field(description="its name in figures and tables")
    source: ModelSource = Field(
        description="where the model comes from: pretraining and step, path, gguf, hub, or model and run"
    )
    stands_for: PaperModel = Field(
        UNSTATED, description="the model of the paper whose values are shown next to this one's"
    )
    chat_template: Text = Field(
        UNSTATED,
        description="with `prompt_template: chat`: a file, or a name from `models` or `finetuned` whose template to "
        "use; without it, the tokenizer's own",
    )
    size: ModelSize = Field(UNSTATED, description="sizes for the plan, used until the model's files are here")
    obtain: Text = Field(UNSTATED, description="how to get the files of a model on the disk; shown if they are missing")


class Finetuned(Section):
    """A run of a model of this config that somebody else trained."""

    label: Text = Field(description="its name in figures and tables")
    base: str = Field(description="name of the model that it was trained from")
    source: FinetunedSource = Field(description="where the run is: path, gguf, hub, or lora, an adapter of the base")
    bytes: Positive = Field(
        UNSTATED,
        description="bytes of its files, for the plan; if it is missing, two bytes per parameter of its base, and 0 "
        "for an adapter",
    )
    obtain: Text = Field(UNSTATED, description="how to get the files of a run on the disk; shown if they are missing")


class DatasetSampling(Section):
    """Rows kept of one dataset; a key that is not given is that of the common `sampling`."""

    train: Positive | None = Field(None, description="training rows; null takes all")
    probe: Positive | None = Field(None, description="samples of the probe set; null takes all")


class DatasetSize(Section):
    """The size of a dataset, for the plan, as long as it is not prepared."""

    train: Positive = Field(
        description="rows of the training files; with `probe: []`, rows of training and probe set together"
    )
    probe: Positive = Field(UNSTATED, description="rows of the probe files")
    tokens: int = Field(ge=2, description="mean number of tokens per sample")
    source: Text = Field(UNSTATED, description="where these figures come from")


class ExpectedRows(Section):
    """What preparation must give, so that files of another release are noticed."""

    train: Positive = Field(UNSTATED, description="number of training instructions that preparation must give")
    probe: Positive = Field(UNSTATED, description="number of probe instructions that preparation must give")


class Dataset(Section):
    """A dataset: its format, and where its rows are."""

    label: Text = Field(description="its name in figures and tables")
    family: str = Field("", description="group of tasks in Figure 2")
    adapter: str = Field(description="name of the adapter that reads its format")
    options: dict[str, Any] = Field({}, description="options of the adapter")
    most_rejected: Share = Field(
        UNSTATED, description="largest share of its rows that may be unusable; by default one fifth"
    )
    train: list[RowSource] = Field(min_length=1, description="sources of training rows")
    probe: list[RowSource] = Field(
        [], description="sources of the probe set; if the list is empty, the probe set is held out of the training rows"
    )
    sampling: DatasetSampling = Field(
        DatasetSampling.model_validate({}), description="numbers of rows, if they differ from `sampling`"
    )
    expected: ExpectedRows | None = Field(
        None, description="numbers of instructions that its files must give; null for any number"
    )
    obtain: Text = Field(UNSTATED, description="how to get the files of rows on the disk; shown if they are missing")
    size: DatasetSize = Field(UNSTATED, description="sizes for the plan, used until the dataset is prepared")
    max_new_tokens: Positive | None = Field(
        None, description="largest number of tokens in an answer; null takes `evaluation.max_new_tokens`"
    )

    def sources(self, split: str) -> list[Any]:
        """Sources of the rows of a split."""
        return self.train if split == "train" else self.probe


class Sampling(Section):
    """How many rows of every dataset are kept."""

    train: Positive | None = Field(description="training rows to keep; null keeps all")
    probe: int = Field(ge=2, description="samples per probe set")
    seed: Seed = Field(description="seed of the draw")


class SampledRows(Section):
    """Rows kept of one dataset, the common numbers filled in."""

    train: int | None
    probe: int | None
    seed: int


class Tokenization(Section):
    """How samples become tokens."""

    max_length: int = Field(ge=2, description="largest number of tokens per sample; longer samples are cut")


class Patterns(Section):
    """Activation patterns (Eq. 2)."""

    reduction: Reduction = Field(description="how Eq. 2 is read (the reduction)")
    also: Reductions = Field(description="further reductions, computed in the same passes")
    dtype: Dtype = Field(description="number format of the model during extraction")
    token_budget: Positive | Literal["auto"] = Field(
        description="tokens per batch; auto takes as many as fit into memory"
    )


class TaskGroup(Section):
    """Tasks that are compared with each other, in the order of every table and figure."""

    tasks: Selection = Field(description="datasets; their training sets are cut to the size of the smallest")
    samples: Positive | None = Field(
        None, description="largest number of samples in a training set, chosen by a draw; null for no limit"
    )
    finetuning: OwnRecipe | None = Field(None, description="keys of `finetuning` that differ for its runs")
    complex: str = Field(UNSTATED, description="the task that the others compose (Eq. 3)")
    expected_pair: list[str] = Field(
        UNSTATED, min_length=2, max_length=2, description="the two tasks that the paper finds to compose it best"
    )


class DomainSize(Section):
    """Rows of a domain, for the plan."""

    train: Positive = Field(description="pseudo-private rows")
    probe: Positive = Field(description="target rows")


class Domain(Section):
    """A domain of a dataset, by its rows' tags."""

    label: Text = Field(description="its name in tables")
    tags: Selection = Field(description="tags of its rows; in MMLU, the subjects")
    size: DomainSize = Field(UNSTATED, description="numbers of rows, for the plan")


class Analysis(Section):
    """Bootstrap, permutations and the regression of Eq. 3."""

    resamples: int = Field(ge=10, description="bootstrap resamples for the 95 % intervals")
    permutations: int = Field(ge=10, description="permutations of heads, for the null of Figure 4")
    intercept: bool = Field(description="whether the regression of Eq. 3 has an intercept")
    normalisation: Normalisation = Field(
        description="levels as they are (none), divided by the sample's loss, or divided by their sum in the sample"
    )
    weighting: Weighting = Field(
        description="the mean over samples, or the mean of the paper's script, which weights tokens in batches of four"
    )
    model_value: ModelValue = Field(
        description="value of a model in Table 1: the mean over tasks of each pattern's statistic, or the statistic of "
        "the mean pattern"
    )
    change: Change = Field(
        description="what Eq. 3 regresses: after − before, (after − before) / before, or log(after / before)"
    )
    seed: Seed = Field(description="seed of resamples and permutations")


class EvaluationSet(Section):
    """Items that checkpoints are evaluated on: one of dataset and opencompass."""

    dataset: str = Field(UNSTATED, description="a dataset, whose probe rows are evaluated")
    opencompass: Text = Field(UNSTATED, description="a built-in generative configuration of OpenCompass")
    scoring: Scoring = Field(
        UNSTATED, description="how items with options are answered; without it, as `evaluation.scoring` says"
    )


class Evaluation(Section):
    """Evaluation with OpenCompass: greedy decoding, the training prompts; likelihoods of gold responses and options."""

    python: Text = Field(description="interpreter of OpenCompass's environment")
    opencompass_data: Text | None = Field(description="folder that contains OpenCompass's own data/; null for none")
    scoring: Scoring = Field(
        description="how items with options are answered: generate reads the model's text, likelihood takes the "
        "likeliest option"
    )
    shots: Natural = Field(
        description="solved examples before each prompt, taken from the training rows of its dataset"
    )
    batch_size: Positive = Field(description="prompts per batch")
    token_budget: Positive = Field(description="tokens per batch when likelihoods are computed, padding included")
    max_new_tokens: Positive = Field(description="largest number of tokens in an answer")
    dtype: Dtype = Field(description="number format of the model during evaluation")
    checkpoints_per_job: Positive = Field(
        description="pairs of checkpoint and evaluation set that one job works through"
    )
    sets: dict[Name, EvaluationSet] = Field(description="evaluation sets for `studies.benchmarks`")


class Config(Section):
    """A whole config, all overlays merged. `studies` holds a section for each study."""

    experiment: Name = Field(description="folder below results/")
    seeds: Seeds = Field(description="training seeds; every run is trained once for each seed")
    seed_moves: Moves = Field(
        description="what depends on the seed: the order of training samples, the samples of a training set, the "
        "pretraining of embedded models"
    )
    embedded: Embedded
    pretraining: dict[Name, Pretraining] = Field(description="pretraining runs, by name")
    pretraining_recipe: PretrainingRecipe
    models: dict[Name, Model] = Field(description="models, by name")
    finetuned: dict[Name, Finetuned] = Field(description="runs that were trained elsewhere, by name")
    datasets: dict[Name, Dataset] = Field(description="datasets, by name")
    sources: Literal["primary", "mirror"] = Field(description="where pinned datasets with a mirror are fetched from")
    prompt_template: str = Field(
        description="question, alpaca, chat, or your own text with {instruction} and optionally {response}"
    )
    sampling: Sampling
    tokenization: Tokenization
    finetuning: Finetuning
    patterns: Patterns
    task_groups: dict[Name, TaskGroup] = Field(description="task groups, by name")
    domains: dict[Name, Domain] = Field(description="domains, by name")
    studies: Any
    analysis: Analysis
    evaluation: Evaluation
    device: Literal["cpu", "cuda"] = Field(description="where models compute")
    tensorboard: bool = Field(description="write event files of TensorBoard while runs train, below logs/tensorboard")
    resources: dict[str, Size] = Field(
        description="what jobs ask for, by rule; `default` has the values that a rule's own entry leaves out"
    )
    plan: Plan
    cluster: Cluster

    def source(self, name: str) -> Any:
        """Where a model comes from, or one that was fine-tuned elsewhere: no two of them share a name."""
        return (self.models[name] if name in self.models else self.finetuned[name]).source

    def moved(self, what: str, seed: int) -> int:
        """The seed of order, samples or pretraining in a run with a training seed; 0 where that leaves it as it is."""
        return seed if what in self.seed_moves else 0

    def sampled(self, dataset: str) -> SampledRows:
        """Rows kept of a dataset: its own numbers where it states them."""
        own = self.datasets[dataset].sampling.model_dump(exclude_unset=True)
        return SampledRows(**{**self.sampling.model_dump(), **own})

    def size(self, rule: str) -> dict[str, int]:
        """Threads, mem_mb, runtime and gpu of a rule."""
        own = self.resources.get(rule)
        return {**self.resources["default"].model_dump(), **(own.model_dump(exclude_unset=True) if own else {})}


PLACES = ("cluster", "plan", "sources", "tensorboard")
"""Sections that no result depends on: where jobs go, what plans assume, where files are from, what can be watched."""


def config_model(settings: Mapping[str, type[Section]], places: bool = True) -> type[Config]:
    """The model of a whole config whose studies have these settings, by the name of the study.

    Without `places`, that of a config as an experiment keeps it in its folder, which lacks `PLACES`.
    """
    fields: dict[str, Any] = {name: (model, ...) for name, model in settings.items()}
    studies = create_model("Studies", __base__=Section, __doc__="Which models and tasks each study takes.", **fields)
    lacking: dict[str, Any] = {} if places else dict.fromkeys(PLACES, (None, None))
    return create_model("Config", __base__=Config, __doc__=Config.__doc__, studies=(studies, ...), **lacking)
