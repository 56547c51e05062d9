"""Where and how large jobs are: what they ask for, what the plan assumes, and the cluster that they go to."""

from typing import Literal

from pydantic import Field

from headpatterns.experiment.fields import UNSTATED, Amount, Natural, Positive, Section, Share


class Size(Section):
    """What one job asks for; a key that is not given is that of `resources.default`."""

    threads: Positive = Field(UNSTATED, description="processor threads of the job, also of torch")
    mem_mb: Positive = Field(UNSTATED, description="memory in MB")
    runtime: Positive = Field(UNSTATED, description="minutes")
    gpu: Natural = Field(UNSTATED, description="GPUs of the job; for fine-tuning, finetuning.devices says how many")


class Utilisation(Section):
    """Shares of a GPU's peak, or of its memory's bandwidth in decoding."""

    training: Share = Field(description="share of the peak in fine-tuning and pretraining")
    patterns: Share = Field(description="share of the peak in extraction and ablation")
    prefill: Share = Field(description="share of the peak in reading prompts")
    decoding: Share = Field(description="share of the memory bandwidth in writing answers")


class StartSeconds(Section):
    """Seconds from a job's start to its work."""

    model: float = Field(ge=0, description="seconds of a job that loads a model")
    other: float = Field(ge=0, description="elsewhere")


class Plan(Section):
    """What the plan assumes, and what of the disk an experiment may take."""

    gpu: str = Field(description="type of GPU; used if device is cuda")
    utilisation: Utilisation = Field(description="shares of the GPU's peak that the work reaches")
    cpu_gflops: Amount = Field(description="10⁹ operations per second and thread; used if device is cpu")
    start_seconds: StartSeconds = Field(description="seconds from the start of a job to the start of its work")
    disk_gb_per_second: Amount = Field(description="speed of the disk for model files, in GB per second")
    download_mb_per_second: Amount = Field(description="speed of downloads, in MB per second")
    prepare_mb_per_second: Amount = Field(description="speed of preparing raw rows, in MB per second and thread")
    tokenize_tokens_per_second: Amount = Field(description="speed of tokenizing, in tokens per second and thread")
    parallel_jobs: Positive = Field(description="largest number of jobs at once that fill the disk")
    check_disk: bool = Field(description="refuse to start if the planned peak does not fit on the disk")
    disk_gb: Amount | None = Field(description="your disk quota in GB; null if there is none")


class Cluster(Section):
    """What jobs of a Slurm cluster are submitted with; empty text asks for nothing, null is no cluster."""

    account: str | None = Field(description="Slurm account; empty if the site keeps no accounts")
    cpu_partition: str | None = Field(description="partitions for jobs without a GPU, separated by commas")
    gpu_partition: str | None = Field(description="partitions for jobs with GPUs, separated by commas")
    gpus_as: Literal["gpu", "gres"] = Field(description="how jobs at this site ask for GPUs")
    gpu_type: str | None = Field(description="the site's name for the type of GPU, if it has several types")

    @property
    def configured(self) -> bool:
        """Whether the config says where jobs are submitted: empty text, as the profile has it, is an answer as well."""
        return any(value is not None for value in (self.account, self.cpu_partition, self.gpu_partition))
