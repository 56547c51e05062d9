"""Fixtures made once for all tests: a corpus, a small tokenizer, a model that reads its tokens, and rows."""

import pytest
import scripts
from tiny_models import VOCABULARY, build


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    scripts.run("generate_corpus", documents=300, seed=1, output=path)
    return path


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    scripts.run("train_tokenizer", corpus=corpus, vocabulary=VOCABULARY, output=folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder):
    from headpatterns.models import loading as models

    return models.load_tokenizer(tokenizer_folder)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, tokenizer):
    """A random Llama with grouped-query attention: 3 layers, 6 query heads, 256 positions."""
    folder = tmp_path_factory.mktemp("model") / "llama"
    model = build("llama-grouped-query", vocab_size=VOCABULARY, max_position_embeddings=256)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def rows():
    """Questions about sums, as rows of different lengths."""
    return [
        {
            "id": f"sum-{n}",
            "prompt": f"Question: What is {n} plus {n * n}?\nAnswer: ",
            "response": f"It is {n + n * n}.",
        }
        for n in range(1, 25, 2)
    ]
