"""How large the models and datasets of an experiment are: measured where its results hold them, else as stated.

What neither its results nor its config say is None, and the key to add is remembered: a plan is made without it.
"""

import functools
import json
import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.data.embedded.subjects import SUBJECTS
from headpatterns.errors import InputError
from headpatterns.experiment import applications
from headpatterns.experiment import config as experiment
from headpatterns.experiment.applications import Config
from headpatterns.experiment.runs import Run
from headpatterns.io import read_json
from headpatterns.planning import formulas as costs

MEASURED, STATED, DERIVED = "measured", "stated", "from the config"
ADD = "add it to the config"
TEXT_BYTES = 4
"""Bytes of a token in raw rows and instructions: about four characters."""


class Samples(NamedTuple):
    """Samples of a split or of a training set, the mean of their tokens, and how both are known."""

    count: int | None
    tokens: float | None
    source: str


class Sizes:
    """Sizes by name; each is looked up once.

    Attributes:
        results: the experiment's folder.
        missing: what is not known, keys of the config, and how it would be.
    """

    def __init__(self, config: Config, results: Path) -> None:
        """Sizes of the experiment of a config, whose folder is `results`."""
        self.config, self.results = config, Path(results)
        self.missing: dict[str, str] = {}
        self.model = functools.cache(self._model)
        self.samples = functools.cache(self._samples)
        self.training_set = functools.cache(self._training_set)

    def fetched(self, model: str) -> Path:
        """Where a model of the hub is put."""
        return self.results / "models" / model

    def _model(self, name: str) -> tuple[costs.Model | None, str]:
        """The size of a model, or of that which its chain of runs began with, and how it is known."""
        base = experiment.base_model(self.config, name)
        entry = self.config["models"][base]
        source = entry["source"]
        if "path" in source:
            return self._at_path(f"models.{base}.source.path", source["path"]), MEASURED
        if "hub" in source and (self.fetched(base) / "config.json").is_file():
            return from_files(self.fetched(base)), MEASURED
        if "size" in entry:
            stated = {key: value for key, value in entry["size"].items() if key != "source"}
            return costs.Model(**{"bytes": 2 * stated["parameters"], **stated}), entry["size"].get("source", STATED)
        found = None
        if "pretraining" in source:
            architecture = self.config["pretraining"][source["pretraining"]]["architecture"]
            found = costs.model(architecture, self.config["embedded"]["vocabulary"])
        if found is None:
            self.missing[f"models.{base}.size"] = ADD
        return found, DERIVED

    def _at_path(self, key: str, path: str) -> costs.Model | None:
        """The size of a model on the disk; its folder may be there only later, as it may for everything planned."""
        try:
            folder = Path(experiment.expand(path, key))
        except InputError:  # a variable that is not set yet
            folder = Path(path)
        if (folder / "config.json").is_file():
            return from_files(folder)
        self.missing[key] = f"{folder} holds no model yet"
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
        size = self.config["datasets"][dataset].get("size")
        return Samples(rows, tokens, size.get("source", STATED) if size else DERIVED)

    def _tokens(self, tokenizer: str, dataset: str) -> float | None:
        """Mean tokens of a sample: of the training rows where they are tokenized."""
        shards = self.results / "tokenized" / tokenizer / dataset / "train" / "report.json"
        if shards.is_file():
            return read_json(shards)["tokens"] / read_json(shards)["kept"]
        entry = self.config["datasets"][dataset]
        if "size" in entry:
            return min(entry["size"]["tokens"], self.config["tokenization"]["max_length"])
        return self.config["embedded"]["tokens"] if _embedded(entry) else None

    def _rows(self, dataset: str) -> dict[str, int | None]:
        """Rows of both splits after sampling, before any is found unusable."""
        entry = self.config["datasets"][dataset]
        whole = entry.get("size", {})
        if not whole and (generator := _embedded(entry)):
            rows = experiment.embedded_rows(self.config, generator)
            whole = {"train": rows["train"], "probe": rows["test"]}
        sampling = {**self.config["sampling"], **entry.get("sampling", {})}
        train, probe = whole.get("train"), whole.get("probe")
        if not entry.get("probe"):
            probe = sampling["probe"]
            if probe is None and train is not None:
                probe = train - sampling["train"]
            train = None if train is None or probe is None else train - probe
        # A sample is as large as it is asked for unless the rows are known to be fewer.
        return {"train": _least(train, sampling["train"]), "probe": _least(probe, sampling["probe"])}

    def raw_bytes(self, dataset: str) -> float | None:
        """Bytes of all rows of a dataset, before any is selected."""
        entry = self.config["datasets"][dataset]
        size = entry.get("size", {})
        tokenizer = experiment.tokenizer_of(self.config, experiment.used_models(self.config)[0])
        tokens = size.get("tokens") or self._tokens(tokenizer, dataset)
        prepared = self.results / "instructions" / dataset / "report.json"
        if prepared.is_file():
            rows = sum(split["rows_read"] for split in read_json(prepared)["splits"].values())
        elif not size and (generator := _embedded(entry)):
            rows = sum(experiment.embedded_rows(self.config, generator).values())
        else:
            rows = size.get("train", 0) + size.get("probe", 0)
        if not rows or tokens is None:
            self.missing[f"datasets.{dataset}.size"] = ADD
            return None
        return TEXT_BYTES * tokens * rows

    def domain(self, name: str) -> dict[str, int | None]:
        """Samples of a domain's parts: `pseudo_private`, `target` and `pool`."""
        written = self.results / "domains" / name / "report.json"
        if written.is_file():
            return read_json(written)["samples"]
        dataset = self.config["studies"][applications.SELECTION]["dataset"]
        rows = self._rows(dataset)
        entry = self.config["domains"][name]
        if "size" in entry:
            private, target = entry["size"]["train"], entry["size"]["probe"]
        elif _embedded(self.config["datasets"][dataset]) and None not in rows.values():
            share = len(SUBJECTS.keys() & set(entry["tags"])) / len(SUBJECTS)
            private, target = round(rows["train"] * share), round(rows["probe"] * share)
        else:
            self.missing[f"domains.{name}.size"] = ADD
            private, target = None, None
        pool = None if target is None or rows["probe"] is None else rows["probe"] - target
        return {"pseudo_private": private, "target": target, "pool": pool}

    def _training_set(self, run: Run) -> Samples:
        """What a run is trained on."""
        config = self.config
        tokenizer = experiment.tokenizer_of(config, run.model)
        sources = [self.samples(tokenizer, *source) for source in applications.datasets(config, run)]
        if run.group == applications.SELECTION:
            private = run.task.endswith(f"-{applications.PSEUDO_PRIVATE}")
            domain = applications.domain_of(config, run)
            count = self.domain(domain)["pseudo_private"] if private else int(run.task.rpartition("-")[2])
            return sources[0]._replace(count=count)
        if len(sources) > 1:  # a mixture: which of the tasks it keeps is not known yet
            tokens = [source.tokens for source in sources]
            mean = None if None in tokens else sum(tokens) / len(tokens)
            return Samples(config["studies"][applications.MIXING]["instructions"], mean, sources[0].source)
        compared = config["task_groups"].get(run.group, {"tasks": []})["tasks"]
        counts = [sources[0].count, *(self.samples(tokenizer, task, "train").count for task in compared)]
        return sources[0]._replace(count=None if None in counts else min(counts))

    def probes(self, run: Run) -> list[tuple[str, Samples]]:
        """Probe sets of a run by what tells them apart, with their samples."""
        found = []
        for name in applications.probe_sets(self.config, run):
            if name == applications.TRAINING:
                found.append((run.name, self.training_set(run)))
            else:
                tokenizer = experiment.tokenizer_of(self.config, run.model)
                found.append((name, self.samples(tokenizer, name, "probe")))
        return found

    def evaluated(self, model: str, name: str) -> Samples | None:
        """Items of an evaluation set; None for a configuration of OpenCompass, whose data are its own."""
        described = applications.evaluation_sets(self.config)[name]
        if "opencompass" in described:
            return None
        samples = self.samples(experiment.tokenizer_of(self.config, model), described["dataset"], "probe")
        return samples._replace(count=self.domain(described["domain"])["target"]) if "domain" in described else samples


def from_files(folder: Path) -> costs.Model | None:
    """The size of a model on the disk, from its config and the headers of its weights.

    Raises:
        InputError: no weights, or files that are not what their names say.
    """
    try:
        config = read_json(folder / "config.json")
        config = config.get("text_config", config)
        weights = sorted(folder.glob("*.safetensors"))
        size = sum(path.stat().st_size for path in weights or folder.glob("*.bin"))
        parameters = sum(map(_parameters, weights)) if weights else size // costs.BYTES.get(_dtype(config), 2)
        layers, heads, hidden = (
            next(config[name] for name in names if name in config)
            for names in (
                ("num_hidden_layers", "n_layer"),
                ("num_attention_heads", "n_head"),
                ("hidden_size", "n_embd"),
            )
        )
    except (
        OSError,
        ValueError,
        AttributeError,
        KeyError,
        TypeError,
        StopIteration,
        RuntimeError,
        struct.error,
    ) as error:
        raise InputError(
            f"the size of the model in {folder} cannot be read ({type(error).__name__}: {error}): give a whole model "
            "in Hugging Face layout."
        ) from error
    if not parameters:
        raise InputError(f"{folder} holds no weights (*.safetensors or *.bin): give a whole model.")
    width = heads * (config.get("head_dim") or hidden // heads)
    return costs.Model(parameters, layers, heads, width, size)


def _dtype(config: dict[str, Any]) -> str:
    return config.get("dtype") or config.get("torch_dtype") or "bfloat16"


def _parameters(path: Path) -> int:
    """Numbers in a safetensors file: its first 8 bytes give the length of the JSON that describes them."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        described = json.loads(file.read(length))
    return sum(math.prod(entry["shape"]) for name, entry in described.items() if name != "__metadata__")


def _embedded(dataset: dict[str, Any]) -> str | None:
    """The generator of a dataset's rows, where they are the embedded experiment's."""
    return dataset["train"][0].get("embedded")


def _least(*values: int | None) -> int | None:
    """The smallest of the values that are not None."""
    known = [value for value in values if value is not None]
    return min(known, default=None)
