"""How large the models and datasets of an experiment are: measured where its results hold them, else as stated.

What neither its results nor its config say is None, and the key to add is remembered: a plan is made without it.
"""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

from headpatterns.data.embedded.registry import UNSPLIT
from headpatterns.data.embedded.subjects import SUBJECTS
from headpatterns.experiment import needed
from headpatterns.experiment.experiment import Experiment
from headpatterns.experiment.files import expand
from headpatterns.experiment.runs import (
    SELECTION,
    TRAINING,
    HeadsSet,
    MixtureSet,
    PseudoPrivateSet,
    Run,
    SelectedSet,
)
from headpatterns.experiment.schema import Dataset
from headpatterns.experiment.sources import EmbeddedRows, InGguf, OnDisk, OnHub, Pretrained
from headpatterns.io import read_json
from headpatterns.planning import formulas
from headpatterns.planning.weights import from_files, from_gguf

MEASURED, STATED, DERIVED, HEADER = "measured", "stated", "from the config", "GGUF header"
ADD = "add it to the config"
TEXT_BYTES = 4
"""Bytes of a token in raw rows and instructions: about four characters."""


@dataclass(frozen=True)
class Samples:
    """Samples of a split or of a training set, the mean of their tokens, and how both are known."""

    count: int | None
    tokens: float | None
    source: str

    @property
    def known(self) -> tuple[int, float] | None:
        """Their number and the mean of their tokens, where both are known."""
        return None if self.count is None or self.tokens is None else (self.count, self.tokens)


class Sizes:
    """Sizes by name; each is looked up once.

    Attributes:
        experiment: whose models and datasets these are.
        results: the experiment's folder.
        missing: what is not known, keys of the config, and how it would be.
    """

    def __init__(self, experiment: Experiment, results: Path) -> None:
        """Sizes of an experiment, whose folder is `results`."""
        self.experiment, self.config, self.results = experiment, experiment.config, results
        self.missing: dict[str, str] = {}
        self.model = functools.cache(self._model)
        self.samples = functools.cache(self._samples)
        self.training_set = functools.cache(self._training_set)

    @property
    def tokenizer(self) -> str:
        """The tokenizer by which rows are counted in tokens: that of the first model."""
        return needed.tokenizer_of(self.config, self.experiment.models[0])

    def fetched(self, model: str) -> Path:
        """Where a model of the hub, or one that is made of a GGUF file, is put."""
        return self.results / "models" / model

    def _model(self, name: str) -> tuple[formulas.Model | None, str]:
        """The size of a model, or of that which its chain of runs began with, and how it is known."""
        base = needed.base_model(self.config, name)
        source, size = self.config.models[base].source, self.config.models[base].size
        if isinstance(source, OnDisk):
            return self._at_path(f"models.{base}.source.path", source.path), MEASURED
        if isinstance(source, OnHub | InGguf) and (self.fetched(base) / "config.json").is_file():
            return from_files(self.fetched(base)), MEASURED
        if isinstance(source, InGguf) and (Path(expand(source.gguf)).is_file() or not size):
            return self._in_gguf(f"models.{base}.source.gguf", source.gguf), HEADER
        if size:
            held, hidden = size.bytes or 2 * size.parameters, size.hidden or size.width
            stated = formulas.Model(size.parameters, size.layers, size.heads, size.width, hidden, held)
            return stated, size.source or STATED
        found = None
        if isinstance(source, Pretrained):
            architecture = self.config.pretraining[source.pretraining].architecture.model_dump()
            found = formulas.model(architecture, self.config.embedded.vocabulary)
        if found is None:
            self.missing[f"models.{base}.size"] = ADD
        return found, DERIVED

    def files(self, name: str) -> int | None:
        """Bytes of the files of a model, or of one that was fine-tuned elsewhere; None where they are not known."""
        given = self.config.finetuned.get(name)
        model, _ = self.model(given.base if given else name)
        if model is None:
            return None
        own = isinstance(given.source, OnHub) if given else False
        return (given.bytes or 2 * model.parameters) if given and own else model.bytes

    def adapter(self, name: str) -> int | None:
        """Bytes of an adapter that was trained elsewhere; None where the config does not say."""
        given = self.config.finetuned[name].bytes
        if given is None:
            self.missing[f"finetuned.{name}.bytes"] = "set the bytes of the adapter's files"
        return given

    def fetched_adapter(self, name: str) -> Path:
        """Where an adapter of the hub is put."""
        return self.results / "adapters" / name

    def _at_path(self, key: str, path: str) -> formulas.Model | None:
        """The size of a model on the disk; its folder may be there only later, as it may for everything planned."""
        folder = Path(expand(path))
        if (folder / "config.json").is_file():
            return from_files(folder)
        self.missing[key] = f"{folder} has no model yet"
        return None

    def _in_gguf(self, key: str, path: str) -> formulas.Model | None:
        """The size of a model in a GGUF file, which may be there only later as well."""
        file = Path(expand(path))
        if file.is_file():
            return from_gguf(file)
        self.missing[key] = f"{file} does not exist yet"
        return None

    def _samples(self, tokenizer: str, dataset: str, split: str) -> Samples:
        """Samples of a split of a dataset, as `tokenizer` sees them."""
        shards = self.results / "tokenized" / tokenizer / dataset / split / "report.json"
        if shards.is_file():
            report = read_json(shards)
            return Samples(report["kept"], report["tokens"] / report["kept"], MEASURED)
        tokens = self._tokens(tokenizer, dataset)
        prepared = self.results / "instructions" / dataset / "report.json"
        if prepared.is_file():
            return Samples(read_json(prepared)["splits"][split]["kept"], tokens, f"{MEASURED} rows")
        rows = self._rows(dataset)[split]
        if rows is None or tokens is None:
            self.missing[f"datasets.{dataset}.size"] = ADD
        size = self.config.datasets[dataset].size
        return Samples(rows, tokens, (size.source or STATED) if size else DERIVED)

    def _tokens(self, tokenizer: str, dataset: str) -> float | None:
        """Mean tokens of a sample: of the training rows where they are tokenized."""
        shards = self.results / "tokenized" / tokenizer / dataset / "train" / "report.json"
        if shards.is_file():
            report = read_json(shards)
            return float(report["tokens"] / report["kept"])
        entry = self.config.datasets[dataset]
        if entry.size:
            return min(entry.size.tokens, self.config.tokenization.max_length)
        return self.config.embedded.tokens if _generator(entry) else None

    def _rows(self, dataset: str) -> dict[str, int | None]:
        """Rows of both splits after sampling, before any is found unusable."""
        entry, sampled = self.config.datasets[dataset], self.config.sampled(dataset)
        train, probe = (entry.size.train, entry.size.probe) if entry.size else (None, None)
        if not entry.size and (generator := _generator(entry)):
            rows = self.config.embedded.rows(generator)
            train, probe = rows["train"], rows["test"]
            train += probe if generator in UNSPLIT else 0
        if not entry.probe:
            probe = sampled.probe
            if probe is None and train is not None and sampled.train is not None:
                probe = train - sampled.train
            train = None if train is None or probe is None else train - probe
        # A sample is as large as it is asked for unless the rows are known to be fewer.
        return {"train": _least(train, sampled.train), "probe": _least(probe, sampled.probe)}

    def raw_bytes(self, dataset: str) -> float | None:
        """Bytes of all rows of a dataset, before any is selected."""
        entry, rows = self.config.datasets[dataset], 0
        tokens = entry.size.tokens if entry.size else self._tokens(self.tokenizer, dataset)
        prepared = self.results / "instructions" / dataset / "report.json"
        if prepared.is_file():
            rows = sum(split["rows_read"] for split in read_json(prepared)["splits"].values())
        elif entry.size:
            rows = entry.size.train + (entry.size.probe or 0)
        elif generator := _generator(entry):
            rows = sum(self.config.embedded.rows(generator).values())
        if not rows or tokens is None:
            self.missing[f"datasets.{dataset}.size"] = ADD
            return None
        return TEXT_BYTES * tokens * rows

    def domain(self, name: str) -> dict[str, int | None]:
        """Samples of a domain's parts: `pseudo_private`, `target` and `pool`."""
        written = self.results / "domains" / name / "report.json"
        if written.is_file():
            return dict(read_json(written)["samples"])
        dataset, entry = self.experiment.settings(SELECTION).dataset, self.config.domains[name]
        train, probe = self._rows(dataset).values()
        private: int | None = None
        target: int | None = None
        if entry.size:
            private, target = entry.size.train, entry.size.probe
        elif _generator(self.config.datasets[dataset]) and train is not None and probe is not None:
            share = len(SUBJECTS.keys() & set(entry.tags)) / len(SUBJECTS)
            private, target = round(train * share), round(probe * share)
        else:
            self.missing[f"domains.{name}.size"] = ADD
        pool = None if target is None or probe is None else probe - target
        return {"pseudo_private": private, "target": target, "pool": pool}

    def _training_set(self, run: Run) -> Samples:
        """What a run is trained on."""
        tokenizer, chosen = needed.tokenizer_of(self.config, run.model), run.training_set
        sources = [self.samples(tokenizer, *source) for source in chosen.datasets]
        match chosen:
            case PseudoPrivateSet(domain=domain):
                return replace(sources[0], count=self.domain(domain)["pseudo_private"])
            case SelectedSet(budget=budget):
                return replace(sources[0], count=budget)
            case HeadsSet(of=whole):
                return self.training_set(replace(run, training_set=whole))
            case MixtureSet(instructions=count):  # which of the tasks it keeps is not known yet
                means = [source.tokens for source in sources if source.tokens is not None]
                mean = sum(means) / len(means) if len(means) == len(sources) else None
                return Samples(count, mean, sources[0].source)
        compared = [self.samples(tokenizer, task, "train") for task in needed.compared_tasks(self.config, run)]
        counts = [samples.count for samples in (sources[0], *compared) if samples.count is not None]
        least = _least(*counts, needed.most_samples(self.config, run)) if len(counts) == 1 + len(compared) else None
        return replace(sources[0], count=least)

    def probes(self, run: Run) -> list[tuple[str, Samples]]:
        """Probe sets of a run by what tells them apart, with their samples."""
        tokenizer = needed.tokenizer_of(self.config, run.model)
        return [
            (run.name, self.training_set(run)) if name == TRAINING else (name, self.samples(tokenizer, name, "probe"))
            for name in run.training_set.probe_sets
        ]

    def evaluated(self, model: str, name: str) -> Samples | None:
        """Items of an evaluation set; None for a configuration of OpenCompass, whose data are its own."""
        items = self.experiment.evaluation_sets[name]
        if items.opencompass:
            return None
        samples = self.samples(needed.tokenizer_of(self.config, model), items.dataset, "probe")
        return replace(samples, count=self.domain(items.domain)["target"]) if items.domain else samples


def _generator(dataset: Dataset) -> str:
    """The generator of a dataset's rows, where they are the embedded experiment's; else empty."""
    source = dataset.train[0]
    return source.embedded if isinstance(source, EmbeddedRows) else ""


def _least(*values: int | None) -> int | None:
    """The smallest of the values that are not None."""
    return min((value for value in values if value is not None), default=None)
