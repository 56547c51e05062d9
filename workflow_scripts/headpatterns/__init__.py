"""Attention head activation patterns of language models before, during and after supervised fine-tuning.

The rooms of the package, in the order in which data passes through them: `embedded` (raw files of the embedded
experiment), `instructions` (raw rows to instructions), `tokenization`, `training`, `attribution` (activation patterns),
`patterns` (their files), `statistics`, `composition`, `plotting` and `reporting`. Importing one never imports another
that is heavier than itself: only `training` and `attribution` import torch.
"""
