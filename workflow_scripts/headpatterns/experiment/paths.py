"""The paths of an experiment's files: below results/{experiment}/, except for models and rows of your own.

A run's paths contain its model and seed, which may also be wildcards of a rule: `{model}`, `{seed}`.
"""

from dataclasses import replace
from typing import Any

from headpatterns.experiment import needed
from headpatterns.experiment.own import PARTS, OwnFiles, Part, of_model
from headpatterns.experiment.runs import TRAINING, MixtureSet, PseudoPrivateSet, Run, SelectedSet
from headpatterns.experiment.schema import Config
from headpatterns.experiment.sources import (
    AdapterOnDisk,
    AfterRun,
    EmbeddedRows,
    InAdapter,
    InGguf,
    OnDisk,
    OnHub,
    Pretrained,
    RowsOnDisk,
    RowsOnHub,
    RowsPinned,
)

FIGURE_FORMATS = ("pdf", "svg", "png")
TABLE_FORMATS = ("csv", "md", "tex")


class Paths:
    """Every path of one experiment, as text.

    Attributes:
        own: models and rows of your own.
        root: the folder of the experiment, below results/.
        run_table: runs.csv, which patterns belong to which study.
        variants: variants.csv, which runs and evaluation sets belong to which variant of a study.
    """

    def __init__(self, config: Config, own: OwnFiles, root: str) -> None:
        """The paths of the experiment of a config below its folder."""
        self.config, self.own, self.root = config, own, root
        self.run_table = f"{self.root}/runs.csv"
        self.variants = f"{self.root}/variants.csv"

    # Raw rows, instructions, tokens, training sets.

    def rows_of(self, dataset: str, split: str, place: int) -> str:
        """The file, folder or glob of one source of a split."""
        source = self.config.datasets[dataset].sources(split)[place]
        match source:
            case RowsOnHub():
                return f"{self.root}/raw/hub/{source.file}.parquet"
            case EmbeddedRows():
                return f"{self.root}/raw/{source.embedded}/{source.file}"
            case RowsPinned():
                return f"{self.pinned(source.pinned)}/{source.files}"
        return self.own.path("rows", source.path)

    def rows(self, dataset: str, split: str) -> list[str]:
        """The files, folders or globs of a split; none if the probe set is held out of the training rows."""
        return [
            self.rows_of(dataset, split, place) for place in range(len(self.config.datasets[dataset].sources(split)))
        ]

    def rows_input(self, dataset: str, split: str) -> list[str]:
        """The files that a job depends on if it reads the raw rows of a split."""
        found: list[str] = []
        for source, path in zip(self.config.datasets[dataset].sources(split), self.rows(dataset, split), strict=True):
            match source:
                case EmbeddedRows():
                    found.append(f"{self.root}/raw/{source.embedded}")
                case RowsPinned():
                    found.append(self.pinned(source.pinned))
                case RowsOnDisk():
                    found += self.own.files("rows", source.path)
                case _:
                    found.append(path)
        return list(dict.fromkeys(found))

    def pinned(self, name: str) -> str:
        """The folder of a dataset of config/datasets.csv."""
        return f"{self.root}/raw/pinned/{name}"

    def rows_on_disk(self, dataset: str) -> list[str]:
        """Files, folders and globs of your own with rows of a dataset, as written in the config."""
        own = self.config.datasets[dataset]
        return [source.path for source in [*own.train, *own.probe] if isinstance(source, RowsOnDisk)]

    def instructions(self, dataset: str, split: str) -> str:
        """Instructions of a split, a parquet file."""
        return f"{self.root}/instructions/{dataset}/{split}.parquet"

    def tokenized(self, tokenizer: str, dataset: str, split: str = "train") -> str:
        """Tokenized rows of a split, a folder of Arrow shards."""
        return f"{self.root}/tokenized/{tokenizer}/{dataset}/{split}"

    def domain(self, domain: str, part: str) -> str:
        """The list of samples of a part of a domain: pseudo_private, pool or target."""
        return f"{self.root}/domains/{domain}/{part}.csv"

    def mixture(self, model: str, seed: int | str, file: str) -> str:
        """A file about the mixtures of a model and seed."""
        return f"{self.root}/mixtures/{model}/seed{seed}/{file}"

    def selection(self, model: str, domain: str, seed: int | str, file: str) -> str:
        """A file about the samples selected for a domain with a model and seed."""
        return f"{self.root}/selections/{model}/{domain}.seed{seed}/{file}"

    def candidates(self, model: str, base: str) -> str:
        """The folder with results of a model before any run on the samples of the pool and the target."""
        return f"{self.root}/candidates/{model}/{base}"

    def training_set(self, run: Run) -> str:
        """The samples of a run: cut from a dataset, mixed of basic tasks, or selected from a pool."""
        match run.training_set:
            case MixtureSet(task=task):
                return self.mixture(run.model, run.seed, f"{task}.csv")
            case SelectedSet(domain=domain, choice=choice):
                return self.selection(run.model, domain, run.seed, f"{choice}.csv")
        name = (self.cut(run) or run).name
        return f"{self.root}/training_sets/{needed.tokenizer_of(self.config, run.model)}/{name}.csv"

    def cut(self, run: Run) -> Run | None:
        """The run whose name and seed define the training set of a run, if the set is cut from one dataset."""
        found = run.cut
        return found and replace(found, seed=self.config.moved("samples", found.seed))

    def cut_among(self, run: Run) -> list[str]:
        """The list of samples from which a training set is cut, if that is only a part of a dataset: a domain."""
        chosen = run.training_set
        return [self.domain(chosen.domain, "pseudo_private")] if isinstance(chosen, PseudoPrivateSet) else []

    def shards(self, trained: list[Run]) -> list[str]:
        """Tokenized rows from which the samples of some runs may come, each folder once."""
        return list(dict.fromkeys(
            self.tokenized(needed.tokenizer_of(self.config, run.model), *source)
            for run in trained for source in run.training_set.datasets
        ))  # fmt: skip

    def compared_shards(self, tokenizer: str, run: Run) -> list[str]:
        """Tokenized training rows of every task that a run is compared with."""
        return [self.tokenized(tokenizer, task) for task in needed.compared_tasks(self.config, run)]

    # Models and checkpoints.

    def model(self, model: str, seed: int | str) -> str:
        """The folder that the base model of runs with a seed is loaded from."""
        if needed.is_templated(self.config, model):
            own = f"seed{seed}" if needed.has_base_per_seed(self.config, model) else "model"
            return self.templated(model, own)
        return self.before_template(model, seed)

    def templated(self, model: str, part: str) -> str:
        """A model with a given chat template. The part is `model`, `seedN`, or only its `tokenizer`."""
        return f"{self.root}/templated/{model}/{part}"

    def template_input(self, model: str) -> list[str]:
        """The source of a model's given chat template: a file of your own, or another model."""
        return self._template(model)[1]

    def template(self, model: str) -> str:
        """The file with a model's given chat template, or the folder of the model that has it."""
        return self._template(model)[0]

    def _template(self, model: str) -> tuple[str, list[str]]:
        """Both `template` and `template_input`.

        From an adapter, the template in the adapter's own folder is used, so that no job has to wait for its base.
        """
        written = self.config.models[model].chat_template
        if written in self.config.models:
            return self.before_template(written, 0), self._input(written, 0)
        if written not in self.config.finetuned:
            return self.own.path("template", written), self.own.files("template", written)
        if isinstance(self.config.source(written), InAdapter):
            return self.adapter(written), self.adapter_input(written)
        return self.finetuned(written), self.finetuned_input(written)

    def template_content(self, model: str) -> str:
        """Digest of the source of the template, if it is your own."""
        written = self.config.models[model].chat_template
        if written not in self.config.models and written not in self.config.finetuned:
            return self.own.state("template", written)
        return self.content(written, "adapter" if isinstance(self.config.source(written), InAdapter) else "tokenizer")

    def to_be_templated(self, model: str, part: str) -> tuple[str, list[str]]:
        """The folder that a part of `templated` is made from, and the files that its job depends on."""
        if part == "tokenizer":
            return self.embedded_tokenizer, [self.embedded_tokenizer]
        seed = part.removeprefix("seed") if part.startswith("seed") else 0
        return self.before_template(model, seed), self._input(model, seed)

    @property
    def embedded_tokenizer(self) -> str:
        """The tokenizer of the embedded models, a folder."""
        return f"{self.root}/pretraining/tokenizer"

    def before_template(self, model: str, seed: int | str) -> str:
        """The same as `model`, with the model's own chat template."""
        source = self.config.models[model].source
        match source:
            case OnDisk():
                return self.own.path("model", source.path)
            case OnHub() | InGguf():
                return self.made(model)
            case AfterRun():
                return f"{self.root}/checkpoints/{source.model}/{source.run}/final"
        folder = self.pretraining(source.pretraining, seed)
        last = self.config.pretraining[source.pretraining].steps
        return f"{folder}/final" if source.step == last else f"{folder}/intermediate/step-{source.step}"

    def content(self, model: str, part: Part) -> str:
        """Digest of a model of your own, as far as jobs read it; empty for one that is made or fetched here."""
        if model == "embedded":
            return ""
        own = of_model(self.config.source(model))
        return self.own.state(part, own.written) if own and part in PARTS[own.kind] else ""

    def gguf_input(self, model: str) -> list[str]:
        """The GGUF file that the folder of a model is made from, as an input of its conversion."""
        source = self.config.source(model)
        assert isinstance(source, InGguf)
        return self.own.files("gguf", source.gguf)

    def about_gguf(self, model: str) -> str:
        """The note on the GGUF file in the folder of a model that is made from it."""
        return f"{self.made(model)}/gguf.json"

    def made(self, model: str) -> str:
        """The folder into which a base model, or one fine-tuned elsewhere, is fetched, converted or merged."""
        return f"{self.root}/models/{model}"

    def finetuned(self, name: str) -> str:
        """The folder of a model that was fine-tuned elsewhere, as it was given."""
        source = self.config.finetuned[name].source
        return self.own.path("model", source.path) if isinstance(source, OnDisk) else self.made(name)

    def finetuned_input(self, name: str) -> list[str]:
        """What a job that reads it depends on."""
        source = self.config.finetuned[name].source
        return self.own.files("model", source.path) if isinstance(source, OnDisk) else [self.made(name)]

    def adapter(self, name: str) -> str:
        """The folder of an adapter that was trained elsewhere."""
        source = self._adapter(name)
        fetched = f"{self.root}/adapters/{name}"
        return self.own.path("adapter", source.path) if isinstance(source, AdapterOnDisk) else fetched

    def adapter_input(self, name: str) -> list[str]:
        """What a job that reads it depends on."""
        source = self._adapter(name)
        own = isinstance(source, AdapterOnDisk)
        return self.own.files("adapter", source.path) if own else [self.adapter(name)]

    def _adapter(self, name: str) -> Any:
        source = self.config.finetuned[name].source
        assert isinstance(source, InAdapter)
        return source.lora

    def pretraining(self, name: str, seed: int | str) -> str:
        """The folder of a pretraining run; all training seeds share one unless they move it."""
        own = f"/seed{seed}" if "pretraining" in self.config.seed_moves else ""
        return f"{self.root}/pretraining/{name}{own}"

    def model_input(self, model: str, seed: int | str) -> list[str]:
        """What a job that loads the base model of a seed depends on: a made folder, or the files of your own."""
        if needed.is_templated(self.config, model):
            return [self.model(model, seed)]
        return self._input(model, seed)

    def _input(self, model: str, seed: int | str) -> list[str]:
        """The same, with the model's own chat template."""
        source = self.config.models[model].source
        match source:
            case OnDisk():
                return self.own.files("model", source.path)
            case AfterRun():
                earlier = needed.run_written(self.config, source.model, source.run)
                return [self.before_template(model, seed), *self.merged_into(earlier)]
            case OnHub() | InGguf():
                return [self.before_template(model, seed)]
        return [self.pretraining(source.pretraining, seed)]

    def merged_into(self, run: Run) -> list[str]:
        """Further inputs for reading the checkpoints of a run: the models below adapters; none for whole models."""
        if not run.is_trained or not needed.recipe(self.config, run.group).is_lora:
            return []
        earlier = [f"{self.checkpoints(run.earlier)}/final"] if run.earlier else []
        return [*self.model_input(run.model, run.seed), *earlier]

    def tokenizer(self, tokenizer: str) -> str:
        """The folder that a tokenizer is loaded from."""
        if tokenizer == "embedded":
            return self.embedded_tokenizer
        # The tokenizer of an embedded model exists before the model.
        embedded = isinstance(self.config.models[tokenizer].source, Pretrained)
        return self.templated(tokenizer, "tokenizer") if embedded else self.model(tokenizer, 0)

    def tokenizer_input(self, tokenizer: str) -> list[str]:
        """The embedded tokenizer, which exists before its models, or the model that contains the tokenizer."""
        own = tokenizer != "embedded" and not isinstance(self.config.models[tokenizer].source, Pretrained)
        return self.model_input(tokenizer, 0) if own else [self.tokenizer(tokenizer)]

    def checkpoints(self, run: Run) -> str:
        """The folder of a run."""
        return f"{self.root}/checkpoints/{run.model}/{run.name}"

    def starting_model(self, run: Run) -> str:
        """The folder of the model that a run starts from."""
        return f"{self.checkpoints(run.earlier)}/final" if run.earlier else self.model(run.model, run.seed)

    # Measurements, and results that are made from them.

    def patterns(self, run: Run, probe_set: str = "") -> str:
        """Patterns of a run, on the probe set of its own task or on a named one."""
        return f"{self.root}/patterns/{run.model}/{run.name}/{probe_set or run.task}"

    def probed_rows(self, run: Run, probe_set: str) -> str:
        """The rows on which patterns are computed."""
        own = probe_set == TRAINING
        return self.instructions(run.training_set.datasets[0][0] if own else probe_set, "train" if own else "probe")

    def ablations(self, run: Run, probe_set: str = "") -> str:
        """Losses without heads of the model, before and after a run, on its task or on a named probe set."""
        further = "" if probe_set in ("", run.task) else f"/{probe_set}"
        return f"{self.root}/ablations/{run.model}/{run.name}{further}"

    def transfer(self, run: Run) -> str:
        """Losses of every task's samples before and after a run."""
        return f"{self.root}/transfer/{run.model}/{run.name}.csv"

    def transplants(self, run: Run) -> str:
        """Losses of a run's samples with heads moved between the run and its base model."""
        return f"{self.root}/transplants/{run.model}/{run.name}.csv"

    def heads(self, run: Run) -> str:
        """The heads of a run that trains only the weights of some heads."""
        return f"{self.root}/heads/{run.model}/{run.name}.csv"

    def trained_heads(self, run: Run) -> str:
        """Losses of a run on its task: after a run that trains only heads, or before and after the whole run."""
        return f"{self.root}/trained_heads/{run.model}/{run.name}.csv"

    def evaluation(self, model: str, batch: str) -> str:
        """Scores of the checkpoints of an evaluation batch."""
        return f"{self.root}/evaluations/{model}/{batch}.csv"

    def items(self, model: str, batch: str) -> str:
        """Every prediction of an evaluation batch."""
        return f"{self.root}/evaluations/{model}/{batch}.items.csv"

    def analysis(self, name: str) -> str:
        """A table of numbers."""
        return f"{self.root}/analysis/{name}.csv"

    def effects(self, name: str) -> str:
        """A table of the effects that claims refer to."""
        return self.analysis(f"{name}_effects")

    def figure(self, name: str, suffix: str = "{suffix}") -> str:
        """A figure in one format."""
        return f"{self.root}/figures/{name}.{suffix}"

    def figures(self, name: str) -> list[str]:
        """A figure in every format."""
        return [self.figure(name, suffix) for suffix in FIGURE_FORMATS]

    def table(self, name: str, suffix: str = "csv") -> str:
        """A table for readers in one format."""
        return f"{self.root}/tables/{name}.{suffix}"

    def tables(self, name: str) -> list[str]:
        """A table for readers in every format."""
        return [self.table(name, suffix) for suffix in TABLE_FORMATS]
