# Both environments of the workflow; the repository itself is mounted, and results are written into it.
#     docker build -t headpatterns .
#     docker run --rm --gpus all --ipc host --user "$(id -u):$(id -g)" -v "$PWD":/work \
#         -v /tmp:/locks -e HEADPATTERNS_GPU_LOCKS=/locks/headpatterns-gpus.lock headpatterns \
#         snakemake all --cores 16 --config 'evaluation={python: /opt/opencompass/bin/python}'
# The GPU driver is the host's; torch brings the rest of CUDA. Containers, and jobs outside of them, share out the GPUs
# by a file in the host's /tmp. Downloads that need a login: -e HF_TOKEN.
FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

# A compiler and headers for what DeepSpeed and Triton compile when they are first used; git for the commit in provenance.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git ninja-build \
    && rm -rf /var/lib/apt/lists/*

# Only these decide when the environments are installed again.
COPY envs/workflow.txt envs/opencompass.txt /opt/envs/
RUN python -m venv /opt/workflow \
    && /opt/workflow/bin/pip install --no-cache-dir -r /opt/envs/workflow.txt
RUN python -m venv /opt/opencompass \
    && /opt/opencompass/bin/pip install --no-cache-dir -r /opt/envs/opencompass.txt

# Any user id may run it: home and caches are temporary, results lie in /work.
RUN useradd --create-home --uid 1000 reader \
    && git config --system --add safe.directory /work
ENV PATH=/opt/workflow/bin:$PATH \
    HOME=/tmp
USER reader
WORKDIR /work
CMD ["snakemake", "--help"]
